"""`python -m origin.neural.train` makes a package that opens and draws (the net learns nothing). Skipped where torch is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from origin.avatar.articulation import REST, SHAPES
from origin.avatar.pose import Pose
from origin.faces import Moment
from origin.neural.patch import PatchFace
from origin.packages.kinds import Wanted, open_package

pytest.importorskip("torch", reason="the extra `neural` is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TINY = ("--frames", "2", "--pairs", "8", "--lines", "1", "--held-out", "2", "--minutes", "0.02")


def test_one_command_makes_a_package_that_draws(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "origin.neural.train", "--out", str(tmp_path / "ava"), *TINY],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert made.returncode == 0, made.stderr
    assert "2 pictures of sentences that it was not shown differ by" in made.stdout
    face = open_package(tmp_path / "ava", Wanted((854, 480)))
    assert isinstance(face, PatchFace)
    poses = [Pose(REST), *[Pose(SHAPES["aa"])] * 3]
    pictures = [face.show(Moment(0, pose, np.zeros(0, np.float32))).copy() for pose in poses]
    assert pictures[0].shape == (720, 854)
    assert face._strength == pytest.approx(1), "the net drew the mouth"
    assert np.abs(pictures[3].astype(int) - pictures[0]).max() < 60, (
        "what it learnt little of is near the loop"
    )


def test_options_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from origin.neural.train.__main__ import main

    monkeypatch.setattr(sys, "argv", ["train", "--out", str(tmp_path / "ava"), "--pairs", "0"])
    with pytest.raises(SystemExit):
        main()
    assert "--pairs from 8" in capsys.readouterr().err
    assert not (tmp_path / "ava").exists()
