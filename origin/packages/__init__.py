"""Avatar packages: folders with an `avatar.toml`, made elsewhere and never trusted. docs/packages.md is the format.

`package.py` reads and bounds one, `kinds.py` knows what each kind is opened with, `library.py` finds those that a node has.
"""
