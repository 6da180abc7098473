"""The commands that operate a cluster: one for each operation of the API, with a table for people and JSON for programs."""
