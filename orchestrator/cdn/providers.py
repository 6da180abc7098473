"""The CDN as the orchestrator sees it: where viewers find HLS, and whether they may be sent there."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from common.auth import PathTokens
from common.config import OrchestratorConfig
from common.log import log
from common.metrics import counter, gauge
from orchestrator.cdn.cloudfront import CdnFailed, CloudFront
from orchestrator.cdn.distribution import Plan
from orchestrator.cdn.life import CdnPhase, Life, Step, Times, Trouble

_log = log("orchestrator")
TIMES = Times()
_TICK_S = 1.0

_PHASES = gauge("avacast_cdn_phase", "1 for the phase that the CloudFront distribution is in", ("phase",))
_STEPS = counter("avacast_cdn_steps_total", "Steps asked of CloudFront's API", ("step", "outcome"))


class Cdn(Protocol):
    """A CDN, or none."""

    @property
    def url(self) -> str | None:
        """Base URL by which viewers reach HLS; None: they go to the packager."""

    @property
    def ready(self) -> bool:
        """May viewers be sent to HLS?"""

    def want(self, wanted: bool) -> None:
        """Does an audience need it?"""

    async def close(self) -> None:
        """Ends what it does; what it has made stays."""


class Pull:
    """Any CDN that pulls, by its URL; an empty URL: none. It is there already."""

    def __init__(self, url: str) -> None:
        self.url = url or None
        self.ready = True

    def want(self, wanted: bool) -> None:
        """It is there anyway."""

    async def close(self) -> None:
        """There is nothing to end."""


class OwnCloudFront:
    """A distribution of ours, which lives as orchestrator/cdn/life.py says."""

    def __init__(
        self,
        plan: Plan,
        times: Times,
        client: Callable[[], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.life = Life(times, clock())
        self.plan = plan
        self._clock = clock
        self._api = CloudFront(plan, client)
        self._reference = uuid.uuid4().hex
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str | None:
        """As long as it serves everywhere."""
        return self.life.url

    @property
    def ready(self) -> bool:
        """Nobody is sent to packagers that have no CDN before them: that is what it is for."""
        return self.life.url is not None

    def want(self, wanted: bool) -> None:
        """Does an audience need it? A change is acted on at once."""
        if wanted != self.life.wanted:
            self._wake.set()
        self.life.want(wanted, self._clock())

    def start(self, on_duty: Callable[[], bool]) -> None:
        """Begins to look after it; changes it while `on_duty()`."""
        self._task = asyncio.create_task(self._run(on_duty), name="CloudFront")

    async def close(self) -> None:
        """Ends that; the distribution stays, for the next orchestrator."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, on_duty: Callable[[], bool]) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            while (step := self.life.step(self._clock(), may_change=on_duty())) is not None:
                await self._take(step)

    async def _take(self, step: Step) -> None:
        before = self.life.phase
        try:
            found = await asyncio.to_thread(self._api.take, step, self._reference)
        except CdnFailed as error:
            self.life.failed(error.trouble, str(error), self._clock(), random.random())
            _STEPS.labels(step, error.trouble).inc()
            _log.warning(
                "cdn:failed", step=step, trouble=error.trouble, error=str(error), failures=self.life.failures
            )
            return
        except Exception as error:
            self.life.failed(Trouble.FAILED, repr(error), self._clock(), random.random())
            _STEPS.labels(step, "error").inc()
            _log.error("cdn:failed", step=step, exc_info=error)
            return
        self.life.done(found, self._clock())
        if step in (Step.CREATE, Step.DELETE):
            self._reference = uuid.uuid4().hex
        _STEPS.labels(step, "done").inc()
        for phase in CdnPhase:
            _PHASES.labels(phase).set(float(phase is self.life.phase))
        if self.life.phase is not before:
            _log.info(
                f"cdn:{self.life.phase}", step=step, distribution=found.id if found is not None else None
            )


def cdn_of(config: OrchestratorConfig) -> Pull | OwnCloudFront:
    """The CDN of these settings. Raises ValueError for settings that contradict each other."""
    if not config.cloudfront:
        return Pull(config.cdn_url)
    if config.cdn_url:
        raise ValueError("AVACAST_CDN_URL and AVACAST_CLOUDFRONT are two CDNs: set one of them")
    first, *others = config.cloudfront
    plan = Plan(
        cluster=config.cloudfront_name,
        first=first,
        second=others[0] if others else first,
        hls_port=config.hls_port,
        control_port=config.cloudfront_control_port,
        shield_region=config.cloudfront_shield,
        path_key=PathTokens(config.secret()).key,
    )
    return OwnCloudFront(plan, replace(TIMES, idle_s=config.cloudfront_idle_s))
