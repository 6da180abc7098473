"""The command line: `avacast up` runs every role in one process; each role has a command of its own."""

from importlib import metadata

try:
    __version__ = metadata.version("avacast")
except metadata.PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0.0.0"
