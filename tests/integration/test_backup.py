"""Backups, as an operator makes and restores them: from either kind of database into either, and refused where they would do harm."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from avacast.cli import app
from common.auth import Audience
from tests.harness.cluster import ADMIN, SECRET, Running, admin, orchestrator
from tests.harness.postgres import Postgres

PACKAGE = "name = 'Zoe'\n"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["backup", *words], env={"COLUMNS": "200"})


async def ran(*words: str) -> str:
    """What a command that must succeed says; it has an event loop of its own."""
    done = await asyncio.to_thread(run, *words)
    assert done.exit_code == 0, done.output
    return done.output


async def lived_in(hub: Running) -> tuple[dict[str, str], dict[str, str]]:
    """An orchestrator with a past: the header of a key, and of a publisher."""
    await hub.ok("POST", "/api/broadcasts", json={"id": "town-hall", "title": "Town häll"}, headers=admin())
    key = await hub.ok("POST", "/api/keys", json={"name": "app", "scopes": ["jobs"]}, headers=admin())
    holder = {"Authorization": f"Bearer {key['secret']}"}
    for n in range(3):
        await hub.ok("POST", "/api/jobs", json={"text": f"Hello {n}."}, headers=holder)
    tokens = "/api/broadcasts/town-hall/tokens"
    made = await hub.ok(
        "POST", tokens, json={"audience": Audience.PUBLISHER.value, "ttl_s": 3600}, headers=admin()
    )
    return holder, {"Authorization": f"Bearer {made['token']}"}


async def as_before(hub: Running, key: dict[str, str], publisher: dict[str, str]) -> None:
    """Everybody goes on: broadcasts, keys, tokens, jobs; and what is new gets numbers of its own."""
    found = await hub.ok("GET", "/api/broadcasts/town-hall", headers=admin())
    assert found["title"] == "Town häll"
    jobs = (await hub.ok("GET", "/api/jobs", headers=key))["jobs"]
    assert [one["text"] for one in jobs] == ["Hello 2.", "Hello 1.", "Hello 0."]
    assert (await hub.call("GET", "/api/broadcasts/town-hall/publish", headers=publisher))[0] != 401
    await hub.ok("POST", "/api/jobs", json={"text": "Another."}, headers=key)
    assert len((await hub.ok("GET", "/api/jobs", headers=key))["jobs"]) == 4


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
async def test_a_backup_is_restored_into_either_kind_of_database(
    tmp_path: Path, database_url: str, into: str, postgres: Postgres
) -> None:
    before, after, store = tmp_path / "before", tmp_path / "after", (tmp_path / "store").as_uri()
    before.mkdir()
    after.mkdir()
    package = before / "avatars/zoe/avatar.toml"
    package.parent.mkdir(parents=True)
    package.write_text(PACKAGE)
    named = ("--store", store)
    async with orchestrator(before, database_url=database_url) as hub:
        key, publisher = await lived_in(hub)
        said = await ran("make", *named, "--data", str(before), "--database-url", database_url)
        assert "rows" in said, "while it runs"
    url = postgres.fresh() if into == "postgresql" else f"sqlite:///{after / 'avacast.db'}"
    await ran("restore", "latest", *named, "--data", str(after), "--database-url", url)
    assert (after / "avatars/zoe/avatar.toml").read_text() == PACKAGE
    async with orchestrator(after, database_url=url) as hub:
        await as_before(hub, key, publisher)
    refused = await asyncio.to_thread(
        run, "restore", "latest", *named, "--data", str(after), "--database-url", url
    )
    assert refused.exit_code == 1 and "not empty" in refused.output
    kept = b"".join(gzip.decompress(file.read_bytes()) for file in (tmp_path / "store").rglob("*.gz"))
    assert SECRET.encode() not in kept and ADMIN.encode() not in kept


async def test_old_backups_go_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    store = tmp_path / "store"
    named = ("--store", store.as_uri(), "--data", str(tmp_path / "data"))
    for name in ("20250101T000000Z", "20250102T000000Z", "20250103T000000Z"):
        (store / "backups" / name).mkdir(parents=True)
        (store / "backups" / name / "database.jsonl.gz").write_bytes(
            gzip.compress(b'{"avacast": 1, "revision": "0001"}\n')
        )
    (store / "backups" / "20250104T000000Z").mkdir()
    (store / "backups" / "20250104T000000Z" / "avatars.tar.gz").write_bytes(b"of one that broke off")
    listed = (await ran("list", *named[:2])).split()
    assert listed == ["20250103T000000Z", "20250102T000000Z", "20250101T000000Z"], (
        "one that is not whole is none"
    )
    for words, told in (
        (("restore", "20250104T000000Z", *named), "there is no backup"),
        (("restore", "20250103T000000Z", *named), "schema 0001"),
        (("make", "--store", "ftp://x", *named[2:]), "there are no stores of the kind"),
        (("make", *named, "--database-url", "mysql://x/y"), "not supported"),
    ):
        done = await asyncio.to_thread(run, *words)
        assert done.exit_code == 1 and told in " ".join(done.output.split()), done.output
    said = await ran("make", *named, "--keep", "2")
    assert "20250102T000000Z is deleted" in said
    listed = (await ran("list", *named[:2])).split()
    assert len(listed) == 2 and listed[1] == "20250103T000000Z"
