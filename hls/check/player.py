"""A player that shows nothing and keeps everything: it watches a broadcast over HTTP and returns the recording of it. Bounded in time,
in bytes and in requests under way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from common.errors import BadRequest, Unavailable
from common.http import read_up_to
from common.tasks import end_tasks
from hls.check.follower import Ask, Follower
from hls.check.listing import NotAPlaylist, lines_of
from hls.check.multivariant import is_index, read_index
from hls.check.recording import Kind, Recording, Reply

Report = Callable[[float, float | None], None]

_REDIRECTS = 5
_INDEX_EVERY_S = 6.0
_MOST_FAILURES = 5
_LAST_MEDIA_S = 5.0
_HTTP2_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one recording. When `kept_bytes` are kept the watching ends early, and the recording says so."""

    kept_bytes: int = 256 * 2**20
    playlist_bytes: int = 4 * 2**20
    media_bytes: int = 64 * 2**20
    renditions: int = 16
    under_way: int = 8
    waiting: int = 200
    answer_s: float = 20.0


async def watch(
    url: str,
    seconds: float,
    *,
    slack_s: float = 0.25,
    limits: Limits | None = None,
    verify: bool = True,
    report: Report | None = None,
    stop: asyncio.Event | None = None,
) -> Recording:
    """Watches the multivariant or media playlist at `url` for `seconds`, all renditions at once. `verify`: whether the certificate
    must be good. `report` hears of the progress; `stop` ends the watching early.

    Raises BadRequest for what is no HTTP address, Unavailable when no playlist comes."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise BadRequest(
            f"not an HTTP address: {url}", hint="such as http://127.0.0.1:8088/hls/demo/index.m3u8"
        )
    connector = aiohttp.TCPConnector(limit=0, ssl=verify)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as http:
        watching = _Watching(http, Recording(url, slack_s=slack_s), seconds, limits or Limits(), stop)
        return await watching.run(report, verify)


class _Watching:
    """One recording under way."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        recording: Recording,
        seconds: float,
        limits: Limits,
        stop: asyncio.Event | None,
    ) -> None:
        self._http = http
        self._recording = recording
        self._seconds = seconds
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._kept_bytes = 0
        self._stop = stop or asyncio.Event()
        self._media_slots = asyncio.Semaphore(limits.under_way)
        self._besides: set[asyncio.Task[None]] = set()

    @property
    def _now_s(self) -> float:
        return self._loop.time() - self._began_s

    def _note(self, text: str) -> None:
        if text not in self._recording.notes:
            self._recording.notes.append(text)

    async def run(self, report: Report | None, verify: bool) -> Recording:
        """Watches to the end, and returns what was recorded."""
        renditions = await self._renditions()
        self._recording.http2 = await _speaks_http2(self._recording.url, verify)
        work = [self._follow(Follower(url)) for url in renditions]
        if renditions != [self._recording.url]:
            work.append(self._watch_index())
        followers = [asyncio.create_task(one) for one in work[: len(renditions)]]
        others = [asyncio.create_task(one) for one in work[len(renditions) :]]
        others.append(asyncio.create_task(self._report(report)))
        stopped = asyncio.create_task(self._stop.wait())
        everyone = asyncio.gather(*followers)
        try:
            left_s = max(0.0, self._seconds - self._now_s)
            ends: set[asyncio.Future[Any]] = {everyone, stopped}
            await asyncio.wait(ends, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            self._recording.seconds = self._now_s
            if everyone.done():
                everyone.result()
            if renditions != [self._recording.url]:
                # What it says by now of the last segments.
                await self._fetch(Ask(Kind.MULTIVARIANT, self._recording.url, ""))
            if self._besides:
                await asyncio.wait(self._besides, timeout=_LAST_MEDIA_S)
        finally:
            await end_tasks(*followers, *others, stopped, *self._besides, everyone)
        return self._recording

    async def _renditions(self) -> list[str]:
        """Fetches the first playlist and reads which media playlists there are."""
        reply = await self._fetch(Ask(Kind.MULTIVARIANT, self._recording.url, ""))
        url = reply.base or reply.url
        if not reply.ok:
            raise Unavailable(
                f"no playlist at {url}: {reply.error or f'status {reply.status}'}",
                code="hls_check_failed",
                hint="is the broadcast live, and the address right?",
            )
        try:
            lines_of(reply.text)
            renditions = read_index(reply.text, url).renditions if is_index(reply.text) else [url]
        except NotAPlaylist as error:
            raise Unavailable(
                f"what is at {url} is no playlist: {error}",
                code="hls_check_failed",
                hint="give the address of an .m3u8",
            ) from None
        if not is_index(reply.text):
            self._recording.url = url
        if len(renditions) > self._limits.renditions:
            self._note(
                f"only the first {self._limits.renditions} of {len(renditions)} renditions are watched"
            )
        return renditions[: self._limits.renditions]

    async def _watch_index(self) -> None:
        while True:
            await asyncio.sleep(_INDEX_EVERY_S)
            await self._fetch(Ask(Kind.MULTIVARIANT, self._recording.url, ""))

    async def _report(self, report: Report | None) -> None:
        while report is not None:
            report(min(self._now_s, self._seconds), self._seconds)
            await asyncio.sleep(0.25)

    async def _follow(self, follower: Follower) -> None:
        failures = 0
        while not follower.over:
            turn = follower.turn()
            if turn.pause_s:
                await asyncio.sleep(turn.pause_s)
            for ask in turn.besides:
                self._spawn(self._beside(follower, ask))
            replies = await asyncio.gather(*(self._fetch(ask) for ask in turn.reloads))
            for reply in replies:
                for ask in follower.take(reply):
                    self._spawn(self._media(follower, ask))
            failures = 0 if any(reply.ok for reply in replies) else failures + 1
            if failures:
                if failures >= _MOST_FAILURES:
                    self._note(f"{follower.url} was given up after {failures} refusals in a row")
                    return
                await asyncio.sleep(min(0.25 * 2**failures, 4.0))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._besides) >= self._limits.waiting:
            self._note("media came faster than it could be fetched; some of it was not looked at")
            work.close()
            return
        task = asyncio.create_task(work)
        self._besides.add(task)
        task.add_done_callback(self._besides.discard)

    async def _beside(self, follower: Follower, ask: Ask) -> None:
        reply = await self._fetch(ask)
        if ask.kind is Kind.HINT and not reply.ok:
            follower.failed(ask)

    async def _media(self, follower: Follower, ask: Ask) -> None:
        async with self._media_slots:
            await self._beside(follower, ask)

    async def _fetch(self, ask: Ask) -> Reply:
        """One exchange, recorded whatever comes of it. Redirects are recorded and followed."""
        url = ask.url
        for _ in range(_REDIRECTS):
            reply = await self._exchange(ask, url)
            location = reply.headers.get("location", "")
            if reply.status not in (301, 302, 303, 307, 308) or not location:
                break
            url = urljoin(url, location)
        return reply

    async def _exchange(self, ask: Ask, url: str) -> Reply:
        headers = {"Accept-Encoding": "gzip" if ask.takes_gzip else "identity"}
        if ask.byte_range:
            length, _, start = ask.byte_range.partition("@")
            headers["Range"] = f"bytes={start}-{int(start) + int(length) - 1}"
        asked_s = first_s = self._now_s
        status, body, error = 0, b"", ""
        answered: dict[str, str] = {}
        try:
            async with self._http.get(
                URL(url, encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._limits.answer_s),
            ) as response:
                first_s = self._now_s
                answered = {name.lower(): value for name, value in response.headers.items()}
                body = await self._read(response, ask)
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as problem:
            error = str(problem) or type(problem).__name__
        reply = Reply(
            kind=ask.kind,
            url=ask.url,
            asked_s=asked_s,
            arrived_s=self._now_s,
            status=status,
            rendition=ask.rendition,
            headers=answered,
            body=body,
            probe=ask.probe,
            byte_range=ask.byte_range,
            first_byte_s=first_s,
            takes_gzip=ask.takes_gzip,
            error=error,
            base=url if url != ask.url else "",
        )
        self._keep(reply)
        return reply

    async def _read(self, response: aiohttp.ClientResponse, ask: Ask) -> bytes:
        media = ask.kind in (Kind.PART, Kind.HINT, Kind.SEGMENT, Kind.INIT)
        limit = self._limits.media_bytes if media else self._limits.playlist_bytes
        body = await read_up_to(response.content, limit + 1)
        if response.headers.get("Content-Encoding", "").lower() == "gzip":
            body = zlib.decompressobj(31).decompress(body, limit + 1)
        if len(body) > limit:
            raise ValueError(f"more than {limit} bytes")
        return body

    def _keep(self, reply: Reply) -> None:
        self._recording.replies.append(reply)
        self._kept_bytes += len(reply.body) + 1000
        if self._kept_bytes > self._limits.kept_bytes and not self._stop.is_set():
            self._note(
                f"ended after {self._now_s:.0f} s: {self._kept_bytes // 2**20} MB are kept, more is not allowed"
            )
            self._stop.set()


async def _speaks_http2(url: str, verify: bool) -> bool | None:
    """Whether the server chooses h2 in its TLS handshake (ALPN); None without TLS, where players do not speak it."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_HTTP2_WAIT_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
            tls = writer.get_extra_info("ssl_object")
            chosen = tls.selected_alpn_protocol() if tls else None
            writer.close()
            return bool(chosen == "h2")
    return None
