"""`python -m orchestrator.simulation [--pictures DIR]`: plays what the docs show, prints what came of it, and draws its pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.simulation import pictures


def main() -> None:
    """Plays, prints, and draws when asked to."""
    options = argparse.ArgumentParser(prog="python -m orchestrator.simulation", description=__doc__)
    options.add_argument(
        "--pictures", type=Path, default=None, help="Folder for the pictures; docs/pictures holds ours."
    )
    asked = options.parse_args()
    for name, draw in pictures.ALL.items():
        text, picture = draw()
        print(text, end="")
        if asked.pictures is not None:
            asked.pictures.mkdir(parents=True, exist_ok=True)
            (asked.pictures / name).write_text(picture)
            print(f"  drawn: {asked.pictures / name}")


if __name__ == "__main__":
    main()
