"""Portraits: avatars from one photo. photo (checked) -> landmarks -> portrait (a package) -> renderer of poses.

`convert.py` and `transfer.py` made what `models/` holds.
"""
