"""What those who watch and those who come see of a fault, in a cluster of real processes.

    python bench/faults.py [--seconds 60] [--only redis|duty|clock|sql|liar|dead]

Two orchestrators on Redis and PostgreSQL, an origin, a relay, a packager. Each fault lasts `--seconds` where it can last. For each: the
longest time without a packet for any viewer that watched, what viewers lost, players that came and were refused by both orchestrators,
the slowest answer, and how long after the fault's end all was as before. Needs Go (the publisher is pion's), Redis, PostgreSQL and
faketime.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from tests.harness.fleet import BROADCAST, Fleet, Joiners, Member, Seen, Watchers, fleet  # noqa: E402  # the path comes first
from tests.harness.postgres import Postgres  # noqa: E402
from tests.harness.redis_servers import Redis, redis  # noqa: E402

WATCHERS = 4
ONE = f"/api/broadcasts/{BROADCAST}"
SKEW_S = 5


@dataclass
class Stage:
    """The cluster and all that looks at it."""

    fleet: Fleet
    redis: Redis
    sql: Postgres
    origin: Member
    relay: Member
    watchers: Watchers
    joiners: Joiners
    seconds: float

    async def mode(self, wanted: str, *, at: str = "") -> bool:
        """Whether a passive viewer is told to watch that way."""
        told = await self.fleet.ask("GET", f"{ONE}/play?role=passive", at=at)
        return bool(told["mode"] == wanted)

    async def everywhere(self, wanted: str) -> bool:
        """Whether all orchestrators say so."""
        return all([await self.mode(wanted, at=url) for url in self.fleet.urls])

    async def nodes(self, *names: str) -> bool:
        """Whether all orchestrators know these nodes, and that they are up."""
        for url in self.fleet.urls:
            told = await self.fleet.ask("GET", "/api/nodes", at=url)
            up = {one["id"] for one in told["nodes"] if one["state"] == "up"}
            if not up.issuperset(names):
                return False
        return True

    async def steady(self) -> bool:
        """As before any fault."""
        return await self.everywhere("webrtc") and await self.nodes("o1", "r1", "p1")


async def redis_gone(on: Stage) -> float:
    """Redis is killed, and comes back with an empty memory."""
    on.redis.stop()
    await asyncio.sleep(on.seconds)  # the fault itself
    on.redis.start()

    async def whole() -> bool:
        told = [await on.fleet.ask("GET", "/health", at=url) for url in on.fleet.urls]
        return all(one["registry"] == "up" for one in told) and await on.steady()

    return await on.fleet.until(whole, "Redis is in use again")


async def duty_killed(on: Stage) -> float:
    """The orchestrator that decides is killed right after it took an order, before viewers could hear of it."""
    deciding = None
    for member in on.fleet.orchestrators:
        if member.process.poll() is None and (await on.fleet.ask("GET", "/health", at=member.url))["on_duty"]:
            deciding = member
    assert deciding is not None, "one of them is on duty"
    await on.fleet.ask("POST", f"{ONE}/activate-cdn", at=deciding.url)
    deciding.kill()
    took = await on.fleet.until(lambda: on.everywhere("hls"), "the other one carries the order out")
    await on.fleet.ask("POST", f"{ONE}/deactivate-cdn")
    await on.fleet.until(lambda: on.everywhere("webrtc"), "and takes the next")
    await on.fleet.start("orchestrator", f"c{len(on.fleet.orchestrators) + 1}")
    await on.fleet.until(on.steady, "a new one knows all")
    return took


def ahead_by(seconds: int) -> dict[str, str]:
    """The environment of a process whose wall clock is ahead. Debian's `faketime` brings the library."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": f"+{seconds}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


async def clocks_apart(on: Stage) -> float:
    """A third orchestrator whose clock is five seconds ahead joins, takes viewers and orders, and is killed."""
    ahead = await on.fleet.start("orchestrator", "ahead", **ahead_by(SKEW_S))
    others = [one for one in on.fleet.orchestrators if one is not ahead and one.process.poll() is None]
    await on.fleet.until(lambda: on.mode("webrtc", at=ahead.url), "it serves")
    await on.watchers.join(on.fleet.http, ahead.url, 1)
    await on.fleet.ask("POST", f"{ONE}/activate-cdn", at=ahead.url)
    await on.fleet.until(lambda: on.everywhere("hls"), "all three agree")
    await on.fleet.ask("POST", f"{ONE}/deactivate-cdn", at=others[0].url)
    await on.fleet.until(lambda: on.everywhere("webrtc"), "and agree again")
    ahead.kill()
    return await on.fleet.until(on.steady, "the two go on")


async def sql_gone(on: Stage) -> float:
    """PostgreSQL is killed, and comes back."""
    await asyncio.to_thread(on.sql.stop)
    await asyncio.sleep(on.seconds)  # the fault itself
    await asyncio.to_thread(on.sql.start)

    async def whole() -> bool:
        made = await on.fleet.ask("POST", "/api/broadcasts", json={"id": "after", "public": True})
        await on.fleet.ask("DELETE", f"/api/broadcasts/{made['id']}")
        return await on.steady()

    return await on.fleet.until(whole, "broadcasts can be made again")


async def liar(on: Stage) -> float:
    """A relay is told to say that it takes 10,000 viewers, and its core takes two."""
    lying = await on.fleet.start(
        "relay", "liar", AVACAST_CAPACITY="10000", AVACAST_MAX_SUBSCRIBERS="2", AVACAST_REGION="local"
    )
    await on.fleet.until(lambda: on.nodes("liar"), "it is known")

    async def corrected() -> bool:
        told = await on.fleet.ask("GET", "/api/nodes")
        return next(one["capacity"] for one in told["nodes"] if one["id"] == "liar") <= 2

    took = await on.fleet.until(corrected, "its capacity is corrected")
    lying.stop()
    return took


async def dead_relay(on: Stage) -> float:
    """A relay heartbeats, and its address serves nothing."""
    hollow = await on.fleet.start("relay", "hollow", AVACAST_URL="http://127.0.0.1:9")

    async def found_out() -> bool:
        for url in on.fleet.urls:
            told = await on.fleet.ask("GET", "/api/nodes", at=url)
            if next((one["state"] for one in told["nodes"] if one["id"] == "hollow"), "") != "suspect":
                return False
        return True

    took = await on.fleet.until(found_out, "it is found out")
    hollow.stop()
    return took


FAULTS: dict[str, Callable[[Stage], Awaitable[float]]] = {
    "redis": redis_gone,
    "sql": sql_gone,
    "liar": liar,
    "dead": dead_relay,
    "clock": clocks_apart,
    "duty": duty_killed,
}


@contextlib.asynccontextmanager
async def stage(folder: Path, seconds: float) -> AsyncIterator[Stage]:
    """Two orchestrators on Redis and PostgreSQL, an origin with a publisher, a relay, a packager; four viewers, and players that come."""
    sql = await asyncio.to_thread(Postgres)
    try:
        await asyncio.to_thread(sql.start)
        with redis() as live:
            async with fleet(folder, redis_url=live.url, database_url=sql.url) as cluster:
                for name in ("c1", "c2"):
                    await cluster.start("orchestrator", name)
                origin, relay, _ = await asyncio.gather(
                    cluster.start("origin", "o1"), cluster.start("relay", "r1"), cluster.start("hls", "p1")
                )
                await cluster.publish(origin)
                watchers = Watchers()
                joiners = Joiners(cluster.http, lambda: cluster.urls)
                on = Stage(cluster, live, sql, origin, relay, watchers, joiners, seconds)
                try:
                    await cluster.until(on.steady, "all is there")
                    await watchers.join(cluster.http, cluster.urls[0], WATCHERS)
                    yield on
                finally:
                    await joiners.close()
                    await watchers.close()
    finally:
        await asyncio.to_thread(sql.close)


async def suffer(on: Stage, name: str) -> Seen:
    """One fault, from a steady cluster to a steady cluster."""
    await on.fleet.until(on.steady, f"all is steady before {name}")
    on.watchers.begin()
    on.joiners.begin()
    whole_s = await FAULTS[name](on)
    pause_s, lost = on.watchers.seen()
    joiners = on.joiners
    for refusal in joiners.refusals[:3]:
        print(f"  refused: {refusal[:300]}", file=sys.stderr)
    what = (FAULTS[name].__doc__ or name).rstrip(".")
    return Seen(what, pause_s, lost, joiners.joins, joiners.refused, joiners.slowest_s, whole_s)


async def run(names: list[str], seconds: float) -> None:
    """Prints the table."""
    folder = Path(tempfile.mkdtemp(prefix="avacast-faults-"))
    try:
        print(
            "| fault | longest pause of who watched | packets lost | players that came, refused | slowest answer | whole again after |"
        )
        print("|---|---|---|---|---|---|", flush=True)
        async with stage(folder, seconds) as on:
            for name in names:
                began = time.monotonic()
                print(f"[{name}]", end=" ", file=sys.stderr, flush=True)
                seen = await suffer(on, name)
                print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
                print(
                    f"| {seen.fault} | {seen.longest_pause_s:.1f} s | {seen.lost} | {seen.joins}, {seen.refused}"
                    f" | {seen.slowest_s * 1000:.0f} ms | {seen.whole_s:.1f} s |",
                    flush=True,
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Runs all faults, or one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long Redis and PostgreSQL are away")
    parser.add_argument("--only", choices=list(FAULTS))
    asked = parser.parse_args()
    asyncio.run(run([asked.only] if asked.only else list(FAULTS), asked.seconds))


if __name__ == "__main__":
    main()
