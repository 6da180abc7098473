"""Sound to words: who speaks when, what is being said, and when a turn is over. `hearing.py` is the whole of it for one speaker."""
