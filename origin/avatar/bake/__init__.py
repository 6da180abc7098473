"""Bakes a person from CC0 data in registry packages; run offline by `python -m origin.avatar.bake NAME`."""
