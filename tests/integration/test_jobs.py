"""Jobs over real sockets: ordered, held by a lease, handed in by those who have them only, and fetched by a link that ends."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.auth import Audience
from common.jobs import LEASE_S
from orchestrator.api.route import CONTEXT
from orchestrator.jobs.queue import MOST_LOST, Jobs
from tests.harness.cluster import Running, admin, orchestrator, token
from tests.harness.faulty_s3 import Fault, faulty_s3

WORK = "/api/v1/worker/jobs"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
WAV = b"RIFF\0\0\0\0WAVEfmt " + bytes(200)
FILM = bytes(range(256)) * 4000
"""A megabyte, which no one segment carries."""


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[Running]:
    async with orchestrator(tmp_path, database_url=database_url) as running:
        yield running


def jobs_of(hub: Running) -> Jobs:
    return hub.role.app[CONTEXT].jobs


async def uploaded(hub: Running, body: bytes, headers: dict[str, str] | None = None) -> str:
    made = await hub.ok("POST", "/api/uploads", data=io.BytesIO(body), headers=headers or admin())
    return str(made["id"])


async def ordered(hub: Running, headers: dict[str, str] | None = None, **wish: Any) -> dict[str, Any]:
    wish = wish or {"text": "Hello."}
    made: dict[str, Any] = await hub.ok("POST", "/api/jobs", json=wish, headers=headers or admin())
    return made


async def told(hub: Running, job: str) -> dict[str, Any]:
    found: dict[str, Any] = await hub.ok("GET", f"/api/jobs/{job}", headers=admin())
    return found


async def take(hub: Running, node: str) -> dict[str, Any] | None:
    answer = await hub.ok("POST", WORK, json={"node": node}, headers=token(Audience.NODE, node))
    taken: dict[str, Any] | None = answer["job"]
    return taken


async def progress(hub: Running, node: str, taken: dict[str, Any], share: float = 0.5) -> bool:
    body = {"node": node, "attempt": taken["attempt"], "step": "drawing", "share": share}
    path = f"{WORK}/{taken['id']}/progress"
    return bool((await hub.ok("POST", path, json=body, headers=token(Audience.NODE, node)))["go_on"])


async def hand_in(hub: Running, node: str, taken: dict[str, Any], film: bytes = FILM) -> tuple[int, Any]:
    path = f"{WORK}/{taken['id']}/film?node={node}&attempt={taken['attempt']}"
    status, body, _ = await hub.call("PUT", path, data=io.BytesIO(film), headers=token(Audience.NODE, node))
    return status, body


async def end(hub: Running, node: str, taken: dict[str, Any], outcome: str, why: str = "") -> int:
    body = {"node": node, "attempt": taken["attempt"], "outcome": outcome, "why": why}
    path = f"{WORK}/{taken['id']}/end"
    return (await hub.call("POST", path, json=body, headers=token(Audience.NODE, node)))[0]


async def key(hub: Running, *scopes: str) -> dict[str, str]:
    made = await hub.ok("POST", "/api/keys", json={"name": "app", "scopes": list(scopes)}, headers=admin())
    return {"Authorization": f"Bearer {made['secret']}"}


async def test_a_film_is_ordered_made_and_fetched(hub: Running) -> None:
    photo, speech = await uploaded(hub, PNG), await uploaded(hub, WAV)
    made = await ordered(hub, image=photo, audio=speech)
    assert (made["state"], made["size"], made["ahead"], made["avatar"]) == ("waiting", "512x512", 0, None)
    assert (await ordered(hub))["ahead"] == 1

    taken = await take(hub, "o1")
    assert taken is not None and taken["id"] == made["id"]
    order = taken["order"]
    assert (order["image"], order["audio"], order["width"], order["text"]) == ("png", "wav", 512, None)
    node = token(Audience.NODE, "o1")
    async with hub.http.get(f"{WORK}/{made['id']}/image", headers=node) as answer:
        assert await answer.read() == PNG
    async with hub.http.get(f"{WORK}/{made['id']}/audio", headers=node) as answer:
        assert await answer.read() == WAV
    assert await progress(hub, "o1", taken, 0.25)
    under_way = await told(hub, made["id"])
    assert (under_way["state"], under_way["step"], under_way["share"]) == ("running", "drawing", 0.25)
    assert under_way["result"] is None
    assert (await hub.call("GET", f"/api/jobs/{made['id']}/result", headers=admin()))[1][
        "code"
    ] == "film_not_made"

    assert (await hand_in(hub, "o1", taken))[0] == 204
    done = await told(hub, made["id"])
    assert (done["state"], done["node"], done["size_bytes"]) == ("done", "o1", len(FILM))
    async with hub.http.get(done["result"]) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "video/mp4", FILM)
        assert answer.headers["Cache-Control"] == "private, no-store"
    async with hub.http.get(done["result"], headers={"Range": "bytes=1000-1999"}) as answer:
        assert (answer.status, await answer.read()) == (206, FILM[1000:2000])
        assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(FILM)}"
    listed = await hub.ok("GET", "/api/jobs?state=done", headers=admin())
    assert [one["id"] for one in listed["jobs"]] == [made["id"]]


async def test_a_link_is_for_one_film_and_for_a_day(hub: Running) -> None:
    links: dict[str, str] = {}
    for _ in range(2):
        made = await ordered(hub)
        taken = await take(hub, "o1")
        assert taken is not None
        await hand_in(hub, "o1", taken)
        links[made["id"]] = (await told(hub, made["id"]))["result"]
    (first, link), (second, other) = links.items()
    for bad in (
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace(first, second),
        link.replace("until=1", "until=2"),
        other.partition("&")[0] + "&signature=" + "ä" * 3,
        link.replace("until=", "until=x"),
    ):
        status, told_, _ = await hub.call("GET", bad)
        assert (status, told_["code"]) == (403, "link_invalid"), bad
    assert (await hub.call("GET", f"/api/jobs/{first}/result"))[0] == 401
    app = hub.role.app[CONTEXT]
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=24, seconds=2)
    until, signature = (part.partition("=")[2] for part in link.partition("?")[2].split("&"))
    app.links.check(first, until, signature, later - dt.timedelta(seconds=10))
    with pytest.raises(Exception, match="has ended"):
        app.links.check(first, until, signature, later)


async def test_who_lost_a_job_cannot_hand_it_in(hub: Running) -> None:
    jobs = jobs_of(hub)
    made = await ordered(hub)
    lost = await take(hub, "o1")
    assert lost is not None and await take(hub, "o2") is None
    now = jobs.now()
    jobs.now = lambda: now + dt.timedelta(seconds=LEASE_S + 1)
    await jobs.look()
    taken = await take(hub, "o2")
    assert taken is not None and (taken["id"], taken["attempt"]) == (made["id"], lost["attempt"] + 1)
    assert not await progress(hub, "o1", lost), "it is told to stop"
    assert (await hand_in(hub, "o1", lost, b"old"))[1]["code"] == "job_lost"
    assert await end(hub, "o1", lost, "failed", "old") == 409
    assert (await hub.call("GET", f"{WORK}/{made['id']}/image", headers=token(Audience.NODE, "o1")))[0] == 404
    assert (await told(hub, made["id"]))["state"] == "running"
    assert (await hand_in(hub, "o2", taken))[0] == 204
    done = await told(hub, made["id"])
    async with hub.http.get(done["result"]) as answer:
        assert await answer.read() == FILM
    assert (await hand_in(hub, "o2", taken, b"twice"))[1]["code"] == "job_lost"


async def test_a_job_that_origins_are_lost_with_ends(hub: Running) -> None:
    jobs = jobs_of(hub)
    made = await ordered(hub)
    for _ in range(MOST_LOST):
        assert await take(hub, "o1")
        now = jobs.now()
        jobs.now = lambda now=now: now + dt.timedelta(seconds=LEASE_S + 1)  # type: ignore[misc]
        await jobs.look()
    ended = await told(hub, made["id"])
    assert ended["state"] == "failed" and "lost while they made it" in ended["error"]
    again = await hub.ok("POST", f"/api/jobs/{made['id']}/retry", headers=admin())
    assert (again["state"], again["error"], again["ended_at"]) == ("waiting", None, None)
    taken = await take(hub, "o2")
    assert taken is not None and (await hand_in(hub, "o2", taken))[0] == 204


async def test_a_job_is_cancelled_given_back_failed_and_made_again(hub: Running) -> None:
    made = await ordered(hub)
    taken = await take(hub, "o1")
    assert taken is not None and await end(hub, "o1", taken, "given_back") == 204
    assert (await told(hub, made["id"]))["state"] == "waiting"
    taken = await take(hub, "o2")
    assert taken is not None
    cancelled = await hub.ok("POST", f"/api/jobs/{made['id']}/cancel", headers=admin())
    assert cancelled["state"] == "cancelled"
    assert not await progress(hub, "o2", taken)
    status, refused, _ = await hub.call("POST", f"/api/jobs/{made['id']}/cancel", headers=admin())
    assert (status, refused["code"]) == (409, "job_over")
    await hub.ok("POST", f"/api/jobs/{made['id']}/retry", headers=admin())
    taken = await take(hub, "o2")
    assert taken is not None and await end(hub, "o2", taken, "failed", "there is no avatar 'zoe'") == 204
    failed = await told(hub, made["id"])
    assert (failed["state"], failed["error"]) == ("failed", "there is no avatar 'zoe'")
    await hub.ok("POST", f"/api/jobs/{made['id']}/retry", headers=admin())
    status, refused, _ = await hub.call("POST", f"/api/jobs/{made['id']}/retry", headers=admin())
    assert (status, refused["code"]) == (409, "job_not_over")
    taken = await take(hub, "o1")
    assert taken is not None
    assert (await hub.call("DELETE", f"/api/jobs/{made['id']}", headers=admin()))[0] == 204
    assert not await progress(hub, "o1", taken), "who made it is told to stop"
    assert (await hub.call("GET", f"/api/jobs/{made['id']}", headers=admin()))[1]["code"] == "job_unknown"


async def test_who_has_many_jobs_does_not_hold_up_who_has_one(hub: Running) -> None:
    many, one = await key(hub, "jobs"), await key(hub, "jobs")
    crowd = [(await ordered(hub, many))["id"] for _ in range(5)]
    single = (await ordered(hub, one))["id"]
    order = [taken["id"] for _ in range(4) if (taken := await take(hub, "o1"))]
    assert order == [crowd[0], single, crowd[1], crowd[2]]


async def test_twenty_origins_that_ask_at_once_get_a_job_each(hub: Running) -> None:
    made = {(await ordered(hub))["id"] for _ in range(5)}
    taken: list[str] = []
    for _ in range(5):  # who came second at a row gets another one at the next asking
        answers = await asyncio.gather(*(take(hub, f"o{n}") for n in range(20)), return_exceptions=True)
        taken += [one["id"] for one in answers if isinstance(one, dict)]
        if len(taken) >= len(made):
            break
    assert sorted(taken) == sorted(made), "none twice, none forgotten"


async def test_a_key_has_its_own_jobs_and_uploads_within_its_limits(tmp_path: Path) -> None:
    async with orchestrator(tmp_path, account_jobs=2, make_limit="3/minute", account_upload_mb=1) as hub:
        mine, other, reader = await key(hub, "jobs"), await key(hub, "jobs"), await key(hub, "read")
        photo = await uploaded(hub, PNG, mine)
        job = (await ordered(hub, mine, image=photo, text="Hi."))["id"]
        for method, path in (("GET", ""), ("POST", "/cancel"), ("DELETE", ""), ("GET", "/result")):
            status, told_, _ = await hub.call(method, f"/api/jobs/{job}{path}", headers=other)
            assert (status, told_["code"]) == (404, "job_unknown"), path
        status, told_, _ = await hub.call("GET", f"/api/jobs/{job}", headers=reader)
        assert (status, told_["code"]) == (403, "scope_missing")
        assert (await hub.ok("GET", "/api/jobs", headers=other))["jobs"] == []
        assert (await hub.call("DELETE", f"/api/uploads/{photo}", headers=other))[0] == 404
        wish = {"image": photo, "text": "Not mine."}
        status, told_, _ = await hub.call("POST", "/api/jobs", json=wish, headers=other)
        assert (status, told_["code"]) == (404, "upload_unknown")
        status, told_, _ = await hub.call("DELETE", f"/api/uploads/{photo}", headers=mine)
        assert (status, told_["code"]) == (409, "upload_needed")

        chief = await key(hub, "admin")
        own = await ordered(hub, chief, image=await uploaded(hub, PNG, chief), text="Hi.")
        assert (await ordered(hub, chief, image=photo, text="Hi."))["account"] == own["account"] is not None
        assert len((await hub.ok("GET", "/api/jobs", headers=chief))["jobs"]) == 3, "it sees all"

        await ordered(hub, mine)
        status, told_, _ = await hub.call("POST", "/api/jobs", json={"text": "x"}, headers=mine)
        assert (status, told_["code"], told_["limit"]["most"]) == (429, "job_limit", 2)
        status, told_, headers = await hub.call("POST", "/api/jobs", json={"text": "x"}, headers=mine)
        assert (status, told_["code"], "Retry-After" in headers) == (429, "make_limit", True)

        await uploaded(hub, WAV + bytes(1_000_000), mine)
        status, told_, _ = await hub.call("POST", "/api/uploads", data=PNG, headers=mine)
        assert (status, told_["code"]) == (429, "upload_limit")
        wrong = token(Audience.NODE, "o1")
        assert (await hub.call("POST", WORK, json={"node": "o2"}, headers=wrong))[0] == 403


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 415, "upload_kind"),
        (b"#EXTM3U\nfile:///etc/passwd\n", 415, "upload_kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>" + bytes(100), 415, "upload_kind"),
        (b"RIFF\0\0\0\0AVI " + bytes(100), 415, "upload_kind"),
        (PNG + bytes(10_000_000), 413, "body_too_large"),
        (WAV + bytes(50_000_000), 413, "body_too_large"),
    ],
)
async def test_an_upload_that_is_nothing_of_use_is_refused_and_not_kept(
    tmp_path: Path, body: bytes, status: int, code: str
) -> None:
    async with orchestrator(tmp_path) as hub:
        answer = await hub.call("POST", "/api/uploads", data=io.BytesIO(body), headers=admin())
        assert (answer[0], answer[1]["code"]) == (status, code)
        assert not [path for path in (tmp_path / "jobs").rglob("*") if path.is_file()]


async def test_uploads_go_after_a_week_and_films_after_their_days(tmp_path: Path) -> None:
    async with orchestrator(tmp_path, job_days=2) as hub:
        at = hub.role.app[CONTEXT]
        needed, _idle = await uploaded(hub, PNG), await uploaded(hub, WAV)
        made = (await ordered(hub))["id"]
        taken = await take(hub, "o1")
        assert taken is not None
        await hand_in(hub, "o1", taken)
        waiting = (await ordered(hub, image=needed, text="Hi."))["id"]
        now = dt.datetime.now(dt.UTC)
        at.jobs.now = lambda: now + dt.timedelta(days=2, minutes=1)
        at.uploads.now = lambda: now + dt.timedelta(days=7, minutes=1)
        await at.jobs.sweep()
        names = {path.name for path in (tmp_path / "jobs").rglob("*") if path.is_file()}
        assert names == {f"{needed}.png"}, "what a job waits for stays"
        assert (await hub.call("GET", f"/api/jobs/{made}", headers=admin()))[0] == 404
        await hub.ok("POST", f"/api/jobs/{waiting}/cancel", headers=admin())
        await at.jobs.sweep()
        assert not [path for path in (tmp_path / "jobs").rglob("*") if path.is_file()]
        status, refused, _ = await hub.call("POST", f"/api/jobs/{waiting}/retry", headers=admin())
        assert (status, refused["code"]) == (409, "upload_expired")


async def test_a_bucket_gives_its_films_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests")
    with faulty_s3() as server:
        async with orchestrator(tmp_path, jobs_store=f"s3://films/avacast?endpoint={server.url}") as hub:
            made = await ordered(hub)
            taken = await take(hub, "o1")
            assert taken is not None
            large = FILM * 20  # more than a part of a bucket's upload
            assert (await hand_in(hub, "o1", taken, large))[0] == 204
            assert list(server.objects) == [f"avacast/films/{made['id']}.mp4"] and not server.parts
            done = await told(hub, made["id"])
            status, _, headers = await hub.call("GET", done["result"])
            assert status == 302 and headers["Location"].startswith(server.url)
            assert "no-store" in headers["Cache-Control"] and "a-secret" not in headers["Location"]
            async with hub.http.get(headers["Location"]) as answer:
                assert await answer.read() == large
            await hub.ok("DELETE", f"/api/jobs/{made['id']}", headers=admin())
            assert not server.objects

            made = await ordered(hub)
            taken = await take(hub, "o1")
            assert taken is not None
            server.fault = lambda _method, _key: Fault.SLOW_DOWN
            status, refused = await hand_in(hub, "o1", taken)
            assert (status, refused["code"]) == (503, "store_unavailable")
            status, refused, _ = await hub.call("POST", "/api/uploads", data=PNG, headers=admin())
            assert (status, refused["code"]) == (503, "store_unavailable")
            server.fault = lambda _method, _key: Fault.NONE
            assert (await hand_in(hub, "o1", taken))[0] == 204, "the origin still has it"
