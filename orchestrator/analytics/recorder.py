"""The recorder: takes in what players report and what the hub counts, and writes it down once a minute.

Reports are counted by the orchestrator that they come to, whoever came or left by the registry, which hands each out once. What the
hub counts is counted by the orchestrator on duty. All of it adds up, so nobody needs to know who else writes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from common.database import DatabaseDown
from common.directory import Delivery, Role
from common.log import log
from common.metrics import counter
from common.registry import Gone, RegistryDown, StaleEpoch, Word
from orchestrator.analytics.devices import Device
from orchestrator.analytics.ledger import MINUTE_S, Entry, Ledger
from orchestrator.analytics.tally import Tally, count
from orchestrator.hub import Hub
from orchestrator.viewers import REPORT_TTL_S, ViewerReport

_log = log("orchestrator")

LOOK_S = 2.0
SWEEP_EVERY_S = 10.0
KEEP_EVERY_S = 600.0
_LONGEST_LOOK_S = 10.0
"""A look after a longer pause counts for this long only: nobody knows what was between."""
_WAITING = 20_000
"""Tallies that may wait for SQL; beyond it the oldest are lost."""
_FIRST_S = 10.0
"""What a first report may count for: players send it with their first picture, others within ten seconds."""
CDN = "cdn"
"""The region of viewers by HLS: a cache serves them, wherever it is."""
UNKNOWN = "unknown"
_TTL_MS = int(REPORT_TTL_S * 1000)

_LOST = counter("avacast_analytics_lost_total", "Minutes of broadcasts that could not be written in time")


class Recorder:
    """Runs from `start` to `close`."""

    def __init__(
        self,
        hub: Hub,
        ledger: Ledger,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self._hub = hub
        self._now = now
        self._clock = clock
        self._tallies: dict[tuple[int, str], Tally] = {}
        """Minute (its number since 1970) and broadcast -> what is not written yet."""
        self._looked_at = clock()
        self._sweep_at = self._keep_at = 0.0
        self._active: set[str] = set()
        """Broadcasts that may have viewers who fall silent."""
        self._was_on_duty = False
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(self._run(), name="analytics")

    async def close(self) -> None:
        """Writes what there is, and ends. Without Redis the audience ends with us: those who go on are met as returned."""
        self._closing.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._hub.registry.embedded:
            for broadcast in list(self._active | self._hub.reporting.keys()):
                await self.ended(broadcast)
        with suppress(DatabaseDown):
            await self.flush(whole=False)

    # what is counted --------------------------------------------------------------------------------------------------

    def report(self, report: ViewerReport, word: Word, country: str | None, device: Device) -> None:
        """A player has reported."""
        tally = self._tally(report.broadcast)
        before = _facts(word.before)
        watched_s = report.watched_s or 0.0
        tally.reports += 1
        if before is None:
            returns = watched_s >= REPORT_TTL_S
            tally.returns += returns
            tally.joins += not returns
            seconds = min(watched_s, _FIRST_S)
            if report.startup_ms is not None and not returns:
                tally.startup_ms.add(report.startup_ms)
        else:
            seconds = min(word.elapsed_s, REPORT_TTL_S)
            if report.startup_ms is not None and "startup_ms" not in before:
                tally.startup_ms.add(report.startup_ms)
        tally.watch_s += seconds
        count(tally.devices, device.value, seconds)
        count(tally.countries, country or UNKNOWN, seconds)
        stalls = report.freezes - int(before.get("freezes", 0) if before else 0)
        tally.stalls += stalls if stalls >= 0 else report.freezes  # another way to watch counts from nought
        if report.latency_ms is not None:
            (tally.hls_ms if report.delivery is Delivery.HLS else tally.webrtc_ms).add(report.latency_ms)
        if report.bitrate_bps is not None:
            tally.bits += report.bitrate_bps
            tally.bits_n += 1
        self._active.add(report.broadcast)
        self.left(report.broadcast, word.gone)

    def left(self, broadcast: str, gone: Iterable[Gone]) -> None:
        """Viewers have gone."""
        for one in gone:
            tally = self._tally(broadcast)
            tally.leaves += 1
            tally.left_s += one.watched_s
            tally.left.add(one.watched_s)

    async def ended(self, broadcast: str) -> None:
        """A broadcast is over: all its viewers have gone."""
        with suppress(RegistryDown):
            while gone := await self._hub.registry.take_silent(broadcast, ttl_ms=_TTL_MS, everybody=True):
                self.left(broadcast, gone)

    def look(self) -> None:
        """Counts who watches, for the time since the last look."""
        now = self._clock()
        passed_s, self._looked_at = min(now - self._looked_at, _LONGEST_LOOK_S), now
        if not self._hub.on_duty:
            return
        hub = self._hub
        tallies: dict[str, Tally] = {}
        for name, (live, audience) in hub.scene.items():
            if not live and not audience.total:
                continue
            tally = tallies[name] = self._tally(name)
            tally.seen_s += passed_s
            tally.live_s += passed_s * live
            tally.webrtc_s += passed_s * audience.webrtc
            tally.hls_s += passed_s * audience.hls
            tally.interactive_s += passed_s * audience.interactive
            tally.peak = max(tally.peak, audience.total)
            if audience.hls:
                count(tally.regions, CDN, passed_s * audience.hls)
        for node in hub.nodes:
            for stream in node.report.streams:
                found = tallies.get(stream.stream)
                if found is None:
                    continue
                viewers = stream.subscribers_interactive + stream.subscribers_passive
                if viewers:
                    count(found.regions, node.report.region, passed_s * viewers)
                    found.lost_s += passed_s * viewers * stream.loss_ratio
                found.egress_bits += passed_s * stream.egress_bps
                if node.report.role is Role.ORIGIN:
                    found.ingest_bits += passed_s * stream.ingest_bps

    # what is written --------------------------------------------------------------------------------------------------

    def pending(self, broadcast: str) -> list[Entry]:
        """What is not written yet, this minute's too."""
        return [
            Entry(name, _moment(minute), tally)
            for (minute, name), tally in sorted(self._tallies.items())
            if name == broadcast
        ]

    async def flush(self, *, whole: bool = True) -> None:
        """Writes the minutes that are over, or (not `whole`) all. Raises DatabaseDown."""
        current = int(self._now()) // MINUTE_S
        due = sorted(key for key in self._tallies if key[0] < current or not whole)
        if not due:
            return
        entries = [Entry(name, _moment(minute), self._tallies[minute, name]) for minute, name in due]
        await self.ledger.write(entries, self._hub.id)
        for key in due:
            del self._tallies[key]

    def _tally(self, broadcast: str) -> Tally:
        key = (int(self._now()) // MINUTE_S, broadcast)
        found = self._tallies.get(key)
        if found is None:
            while len(self._tallies) >= _WAITING:
                del self._tallies[min(self._tallies)]
                _LOST.inc()
            found = self._tallies[key] = Tally()
        return found

    # life -------------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                await self.round()
            except (DatabaseDown, StaleEpoch) as error:
                _log.debug("analytics_later", error=error.detail)
            except Exception as error:
                _log.error("analytics_failed", exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._closing.wait()

    async def round(self) -> None:
        """One look, and what is due. Raises DatabaseDown, StaleEpoch."""
        self.look()
        now = self._clock()
        duty = self._hub.duty
        if duty is not None and not self._was_on_duty:
            self._active |= {one.id for one in self._hub.broadcasts}
        self._was_on_duty = duty is not None
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_S
            if duty is not None:
                await self.sweep()
        await self.flush()
        if duty is not None and now >= self._keep_at:
            self._keep_at = now + KEEP_EVERY_S
            today = dt.datetime.fromtimestamp(self._now(), dt.UTC)
            while await self.ledger.roll_up(duty, today) and not self._closing.is_set():
                pass
            await self.ledger.sweep(duty, today)

    async def sweep(self) -> None:
        """Those who fell silent have left, also where nobody is left whose report would tell."""
        with suppress(RegistryDown):
            self._active |= {name for name, viewers in self._hub.reporting.items() if viewers}
            for broadcast in sorted(self._active):
                gone = await self._hub.registry.take_silent(broadcast, ttl_ms=_TTL_MS)
                self.left(broadcast, gone)
                if not gone and not self._hub.reporting.get(broadcast):
                    self._active.discard(broadcast)


def _facts(document: str | None) -> dict[str, Any] | None:
    if document is None:
        return None
    facts = json.loads(document)
    return facts if isinstance(facts, dict) else {}


def _moment(minute: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(minute * MINUTE_S, dt.UTC)
