"""The Python face of the media core: WHIP, WHEP, pulls from upstream, events to viewers. Usable without the rest."""
