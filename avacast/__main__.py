"""`python -m avacast` is `avacast`."""

from avacast.cli import main

main()
