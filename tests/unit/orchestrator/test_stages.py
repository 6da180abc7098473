"""The settings files of the stages: read as the orchestrator reads them, and played with the largest audience that each is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from avacast.reference import variables
from common.config import OrchestratorConfig, Shared
from orchestrator.cdn.providers import OwnCloudFront, cdn_of
from orchestrator.delivery import Policy
from orchestrator.hub import policy_of_config
from orchestrator.scaling.pools import parse_pool
from orchestrator.simulation.audiences import Stage, carry

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "infra" / "stages"
RELAYS = {"0050": 0, "0100": 0, "0200": 2, "0500": 3, "1000": 5}
AT_THE_TOP = {"0050": "direct", "0100": "hybrid", "0200": "hybrid", "0500": "hybrid", "1000": "hybrid"}


def settings(name: str) -> dict[str, str]:
    """The settings of a file."""
    lines = (FOLDER / f"{name}.env").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"AVACAST_[A-Z_]+", key) and value for key, _, value in pairs)
    return {key: value for key, _, value in pairs}


@pytest.fixture(params=sorted(RELAYS))
def stage(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[str, OrchestratorConfig]:
    for one, field in OrchestratorConfig.model_fields.items():
        for variable in variables(one, field):
            monkeypatch.delenv(variable, raising=False)
    for key, value in settings(request.param).items():
        monkeypatch.setenv(key, value)
    return request.param, OrchestratorConfig(data=tmp_path)


def test_all_settings_are_known(stage: tuple[str, OrchestratorConfig]) -> None:
    known = {
        variable
        for model in (OrchestratorConfig, Shared)
        for one, field in model.model_fields.items()
        for variable in variables(one, field)
    }
    assert set(settings(stage[0])) <= known


def test_an_orchestrator_can_be_made_of_it(stage: tuple[str, OrchestratorConfig]) -> None:
    name, config = stage
    assert [parse_pool(one) for one in config.scaling_pools] or name in ("0050", "0100")
    assert isinstance(cdn_of(config), OwnCloudFront) == (name == "1000")


def test_its_largest_audience_is_carried_as_the_page_says(stage: tuple[str, OrchestratorConfig]) -> None:
    name, config = stage
    policy: Policy = policy_of_config(config)
    top = int(name)
    trace = ((0, 0), (300, top), (420, top))
    found = carry(trace, Stage(policy=policy, relays=(150,) * RELAYS[name]))
    last = found.samples[-1]
    assert not any(one.refused for one in found.samples)
    assert last.state.stage == AT_THE_TOP[name]
    assert last.total == top and (last.hls > 0.8 * top) == (name != "0050")
    assert all(len(moments) <= 2 for moments in found.switches.values())
    assert found.interactive_moved == found.before_ready == 0


def test_the_page_names_every_file() -> None:
    page = (ROOT / "docs" / "stages.md").read_text()
    assert (
        set(re.findall(r"`(\d{4})\.env`", page)) == {one.stem for one in FOLDER.glob("*.env")} == set(RELAYS)
    )
