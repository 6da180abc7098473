"""`python -m origin.avatar.bake NAME [--sources DIR] [--out DIR]`: bakes a shipped person from CC0 packages."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common.cache import cache_folder
from origin.avatar import layers
from origin.avatar.bake.assembly import Assembly
from origin.avatar.bake.people import RECIPES
from origin.avatar.bake.sources import fetch
from origin.avatar.layerbake import LayerBake
from origin.avatar.person import PEOPLE, read, write

WIDTH, HEIGHT = 854, 480
"""The size whose layers are shipped; other sizes are baked on first start."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m origin.avatar.bake", description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--sources", type=Path, default=cache_folder("bake"))
    parser.add_argument("--layers-only", action="store_true", help="bake only the light tier's layers anew")
    parser.add_argument("--no-layers", action="store_true", help="leave the light tier's layers as they are")
    parser.add_argument(
        "--samples", type=int, default=4, help="side of the supersampling square of the layers"
    )
    parser.add_argument("--out", type=Path, default=None, help="folder of the person (default: people/NAME)")
    arguments = parser.parse_args()
    started = time.monotonic()
    folder = arguments.out or PEOPLE / arguments.name
    if not arguments.layers_only:
        print(f"fetching CC0 packages into {arguments.sources}", flush=True)
        sources = fetch(arguments.sources)
        print("building the person", flush=True)
        write(Assembly(arguments.name, RECIPES[arguments.name], sources).avatar(folder), folder)
    avatar = read(folder)
    if not arguments.no_layers:
        print(f"baking the light tier's layers at {WIDTH}x{HEIGHT}", flush=True)
        baked = LayerBake(avatar, WIDTH, HEIGHT, arguments.samples).run()
        layers.save(baked, folder / f"layers-{WIDTH}x{HEIGHT}.npz")
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    g = avatar.geometry
    print(
        f"{len(g.rest)} vertices, {len(g.triangles)} triangles, {len(avatar.hair.card)} hair guides, "
        f"{size / 1e6:.2f} MB, {time.monotonic() - started:.0f} s"
    )


main()
