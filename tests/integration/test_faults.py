"""A cluster of real processes, and one fault after the other: who watches notices none, and who comes is not turned away.

`python bench/faults.py` tells the same with faults that last a minute, and prints what was seen.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import FAULTS, stage, suffer
from tests.harness.pion import needs_pion


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_pion
async def test_faults_are_noticed_by_nobody_who_watches_and_nobody_who_comes(tmp_path: Path) -> None:
    async with stage(tmp_path, 3.0) as on:
        for name in FAULTS:
            seen = await suffer(on, name)
            assert seen.lost == 0, seen
            assert seen.longest_pause_s < 5, seen
            assert seen.joins > 0 and seen.refused == 0, (seen, on.joiners.refusals)
