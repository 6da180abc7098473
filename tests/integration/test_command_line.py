"""The commands that operate a cluster, against an orchestrator that runs; and the examples of their page."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from avacast.cli import app
from common.directory import Role
from common.log import configure
from tests.harness.cluster import ADMIN, Nodes, Running, admin, eventually, orchestrator

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name in ("AVACAST_ADMIN_TOKEN", "ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AVACAST_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("COLUMNS", "200")
    configure("error")  # the orchestrator of this process would log into what the command says
    async with orchestrator(tmp_path, scaling_pools=["origin/eu-west-1=1-3"]) as running:
        monkeypatch.setenv("AVACAST_SERVER", running.url)
        monkeypatch.setenv("AVACAST_TOKEN", ADMIN)
        yield running


async def run(*words: str, typed: str | None = None) -> Result:
    """A command to its end, beside the orchestrator's own loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, list(words), input=typed)


async def said(*words: str) -> str:
    """What a command that succeeds says."""
    done = await run(*words)
    assert done.exit_code == 0, (words, done.output)
    return done.stdout


async def test_people_read_tables_and_programs_json(hub: Running, cluster: Nodes) -> None:
    node = await cluster.start(
        "o1", Role.ORIGIN, hub, avatar=True, region="eu-west-1", memory_bytes=3 * 2**30
    )
    told = await said(
        "broadcasts", "create", "--id", "demo", "--title", "[red]Town[/red]", "--avatar", "ava", "--public"
    )
    assert "/whip/demo" in told and "[red]Town[/red]" in told, "words of others are shown as they are"
    node.stream("demo", subscribers_passive=12)
    await eventually(lambda: hub.role.hub.audience("demo").total == 12, "the viewers are counted")
    assert re.search(r"demo +\[red\]Town\[/red\] +yes +12 +direct", await said("broadcasts"))
    assert re.search(r"o1 +origin +up .*eu-west-1 .* 3 GiB", await said("nodes"))
    assert json.loads(await said("nodes", "--json"))["nodes"][0]["memory_bytes"] == 3 * 2**30
    assert (
        json.loads(await said("broadcasts", "say", "demo", "Hello there", "--now", "--json"))["origin"]
        == "o1"
    )
    assert node.lines[-1][1].text == "Hello there" and node.lines[-1][1].now
    assert "cdn.force" in await said("broadcasts", "activate-cdn", "demo")
    assert re.search(r"draining +yes", await said("nodes", "drain", "o1"))
    assert re.search(r"origin/eu-west-1", await said("scaling"))
    assert re.search(r"^ +50 ", await said("cost"), re.MULTILINE)
    assert "POST" in await said("audit", "--limit", "3") and "more: --after" in await said(
        "audit", "--limit", "1"
    )
    assert "avacast_nodes" in await said("about", "metrics")


async def test_lists_and_objects_are_written_with_commas_as_json_or_in_a_file(
    hub: Running, cluster: Nodes, tmp_path: Path
) -> None:
    node = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    await said("broadcasts", "create", "--id", "demo", "--avatar", "ava")
    script = tmp_path / "script.json"
    script.write_text('[{"at_s": 0, "text": "one"}, {"at_s": 2.5, "text": "two"}]')
    await said("broadcasts", "play-script", "demo", f"@{script}")
    assert [one.text for one in node.orders[-1][1].cues] == ["one", "two"]
    assert (
        await run("broadcasts", "play-script", "demo", "@-", typed='[{"at_s": 0, "text": "three"}]')
    ).exit_code == 0
    assert node.orders[-1][1].cues[0].text == "three"
    for wrong in ("@no-such-file", "[{"):
        assert (await run("broadcasts", "play-script", "demo", wrong)).exit_code == 2


async def test_errors_say_what_to_do(hub: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = await run("broadcasts", "show", "nobody")
    assert done.exit_code == 1 and "GET /api/broadcasts" in done.stderr and not done.stdout
    done = await run("broadcasts", "create", "--id", "NOT OK")
    assert done.exit_code == 1 and "a broadcast id has" in done.stderr
    assert (await run("broadcasts", "show", "..")).exit_code == 2
    assert (await run("nodes", "--server", "nonsense")).exit_code == 2
    monkeypatch.delenv("AVACAST_TOKEN")
    done = await run("nodes")
    assert done.exit_code == 1 and "AVACAST_TOKEN" in done.stderr and "--data" in done.stderr
    (tmp_path / "admin.token").write_text(ADMIN + "\n")
    assert (await run("nodes", "--data", str(tmp_path))).exit_code == 0, (
        "the token in the orchestrator's folder"
    )
    assert (await run("nodes", "--token", "wrong")).exit_code == 1


async def test_nobody_there_is_told_with_the_address(hub: Running) -> None:
    await hub.site.close()
    done = await run("about", "health")
    assert done.exit_code == 1 and hub.url in done.stderr


async def test_events_are_lines(hub: Running) -> None:
    await hub.ok("POST", "/api/broadcasts", json={"id": "demo"}, headers=admin())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "avacast",
        "broadcasts",
        "events",
        "demo",
        "--json",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert json.loads(await process.stdout.readline())["event"] == "state"
        await hub.ok("PATCH", "/api/broadcasts/demo", json={"title": "New"}, headers=admin())
        assert json.loads(await process.stdout.readline())["change"] == "changed"
    finally:
        process.terminate()
        await process.wait()


async def test_the_examples_of_the_page_run(
    hub: Running, cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    monkeypatch.setattr("orchestrator.api.sessions.CONNECT_S", 0.01)  # no avatar comes alive here
    block = re.search(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    commands = [
        shlex.split(line, comments=True) for line in block[1].splitlines() if line.startswith("avacast ")
    ]
    assert len(commands) > 10
    for _, *words in commands:
        await said(*words)
    assert [line.text for _, line in node.lines] == ["Good evening!"]
