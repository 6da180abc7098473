"""`python -m origin.neural.train --out FOLDER`: a package of a shipped person. Some ten minutes of pictures, then the time for the net.
`--frames 2 --pairs 8 --lines 1 --held-out 2 --minutes 0.05` shows in half a minute whether all of it runs here; the net learns nothing.

Needs torch and onnx beside the renderer: pip install 'avacast[origin,neural]' onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from origin.neural.train import fit, folder, pictures
from origin.neural.units import MOUTH_UNITS
from speech.inference import seed as seed_voices
from speech.piper import Piper


def main() -> None:
    about = argparse.ArgumentParser(prog="python -m origin.neural.train", description=__doc__)
    about.add_argument("--out", type=Path, required=True, help="the package's folder")
    about.add_argument("--person", default="ava")
    about.add_argument("--frames", type=int, default=150, help="of the loop, 25 a second")
    about.add_argument("--pairs", type=int, default=1500, help="pictures to learn from")
    about.add_argument("--lines", type=int, default=len(pictures.LEARNT), help="sentences that they speak")
    about.add_argument("--held-out", type=int, default=60, help="pictures to judge the net by")
    about.add_argument("--minutes", type=float, default=16.0, help="time for the net")
    asked = about.parse_args()
    if min(asked.frames, asked.pairs // fit.BATCH, asked.lines, asked.held_out) < 1 or not asked.minutes > 0:
        about.error(f"--frames, --lines and --held-out from 1, --pairs from {fit.BATCH}, --minutes above 0")
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    with Progress(*columns, TimeRemainingColumn()) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        def judged(_what: str, done: int, total: int) -> None:
            report("Drawing mouths to judge by", done, total)

        loop = pictures.loop(asked.person, asked.frames, report)
        folder.begin(asked.out, loop.pictures, loop.boxes)
        rests = folder.crops(asked.out, loop.boxes)
        chance = np.random.default_rng(1)
        seed_voices(1)
        voice = Piper()
        units = pictures.varied(
            pictures.speaking(pictures.LEARNT[: asked.lines], 1, voice), asked.pairs, chance
        )
        which = chance.integers(asked.frames, size=asked.pairs).astype(np.int32)
        learnt = pictures.pairs(asked.person, loop, which, units, report)
        said = pictures.speaking(pictures.HELD_OUT[: asked.lines], 1, voice)
        at = np.linspace(0, len(said) - 1, min(asked.held_out, len(said))).astype(np.int32)
        held = pictures.pairs(asked.person, loop, at % asked.frames, said[at], judged)
        fitting = bars.add_task("Fitting the net", total=1.0)

        def told(share: float, difference: float) -> None:
            bars.update(fitting, completed=share, description=f"Fitting the net ({difference:.4f})")

        net = fit.fit(rests, learnt.frame, learnt.units, learnt.target, minutes=asked.minutes, told=told)
    assert learnt.units.shape[1] == len(MOUTH_UNITS)
    quality = fit.psnr_db(net, rests, held.frame, held.units, held.target)
    name = asked.person.capitalize()
    told_of = f"{len(held.frame)} pictures of sentences that it was not shown differ by {quality:.1f} dB from the full tier"
    folder.complete(asked.out, fit.written(net, pictures.SIDE), f"{name}, drawn by a net", told_of)
    print(f"{asked.out}: {told_of}")


if __name__ == "__main__":
    main()
