"""An avatar's ears: viewers' microphones come by WHIP as streams that nobody can watch, and become questions and interruptions."""
