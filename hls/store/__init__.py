"""Recordings: what a packager shows is kept, first on this machine's disk, from there in a store; and shown again, as a list that goes
further back than the live one, as a recording, and as one file."""
