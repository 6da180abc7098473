"""Speech: text to sound with the time of every phoneme, mouth shape and word. Knows no avatar, network or clock."""
