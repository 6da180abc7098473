"""How fast a voice is here is measured once, where the answer is clear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from speech.speed import CLEAR, fast_enough

LIMIT = 0.9
WEEK_S = 7 * 86_400


class Voice:
    """Of a model; counts how often it was tried."""

    def __init__(self, cost: float, model: str = "some 1") -> None:
        self.cost, self.model, self.tried = cost, model, 0

    def measure(self) -> float:
        self.tried += 1
        return self.cost

    def fast(self, limit: float = LIMIT) -> bool:
        return fast_enough(self.model, limit, self.measure)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache"


def kept(home: Path) -> Path:
    (found,) = home.rglob("*.json")
    return found


@pytest.mark.parametrize(("cost", "fast"), [(0.3, True), (1.6, False)])
def test_a_clear_answer_is_remembered(cost: float, fast: bool) -> None:
    voice = Voice(cost)
    assert [voice.fast() for _ in range(3)] == [fast] * 3
    assert voice.tried == 1


@pytest.mark.parametrize("cost", [LIMIT / CLEAR + 0.01, LIMIT, LIMIT * CLEAR - 0.01])
def test_an_answer_near_the_limit_is_measured_each_time(cost: float) -> None:
    voice = Voice(cost)
    assert [voice.fast() for _ in range(3)] == [cost <= LIMIT] * 3
    assert voice.tried == 3


def test_what_is_clear_for_one_limit_need_not_be_for_another() -> None:
    voice = Voice(0.5)
    assert voice.fast() and not voice.fast(0.4)
    assert voice.tried == 2


def test_another_model_or_version_is_measured() -> None:
    assert Voice(0.1).fast()
    other = Voice(3.0, "some 2")
    assert not other.fast() and other.tried == 1


def test_it_is_measured_again_after_a_week_and_after_a_clock_that_went_back(home: Path) -> None:
    for back_s in (WEEK_S + 1, -3600):
        voice = Voice(0.1)
        voice.fast()
        ((key, (cost, at)),) = json.loads(kept(home).read_text()).items()
        kept(home).write_text(json.dumps({key: [cost, at - back_s]}))
        tried = voice.tried
        assert voice.fast() and voice.tried == tried + 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"x": 1}', "null"])
def test_a_broken_file_means_measuring_again(home: Path, text: str) -> None:
    voice = Voice(0.1)
    voice.fast()
    kept(home).write_text(text)
    assert voice.fast() and voice.tried == 2


def test_a_home_that_is_a_file_means_measuring_again(home: Path) -> None:
    home.write_text("no folder")
    voice = Voice(0.1)
    assert voice.fast() and voice.fast() and voice.tried == 2
