"""Recordings over HTTP: what viewers load below `/recordings/`, and what operators list and delete.

Whatever may wait for a disk or for the store is done in threads. Media comes from the spool while it lies there, else from the store,
always by this server: nothing redirects, so caches and players need to know one address only."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from aiohttp import web
from aiohttp.web_response import ContentCoding

from common.errors import BadRequest, Conflict, NotFound, Unavailable
from common.http import byte_range
from common.log import log
from common.recordings import RecordingList, RecordingView
from common.store.folder import Folder
from common.store.store import (
    BRIEF,
    FINAL,
    IMMUTABLE,
    BadName,
    NotStored,
    Store,
    StoreError,
    checked,
    content_type,
    is_word,
    whole,
)
from hls.store import catalogue
from hls.store.gate import TOKEN, Gate, Shown
from hls.store.recorder import Recorder
from hls.store.recording import KEY_FRAMES, State

_log = log("hls.store")

_ERRORS = {"Cache-Control": "public, max-age=1"}
_MOST_PLAYLIST_BYTES = 16 << 20
_MOST_LISTED = 100
_DELETE_AT_ONCE = 1000

_KEPT_BY_NOBODY = "private, no-store"


class Serving:
    """`gate` is asked who may watch what; `operator` before anything is listed or deleted."""

    def __init__(self, recorder: Recorder, gate: Gate, operator: Callable[[web.Request], None]) -> None:
        self._recorder = recorder
        self._spool = Folder(recorder.root)
        self._gate = gate
        self._operator = operator

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        # A recording's id is no token, so a broadcast of the name "t" has addresses of its own.
        for one in (f"/recordings/t/{{token:{TOKEN}}}/{{broadcast}}", "/recordings/{broadcast}"):
            app.router.add_get(f"{one}/dvr.m3u8", self._running)
            app.router.add_get(f"{one}/{{id}}/{{file}}", self._file)
            app.router.add_get(f"{one}/{{id}}/{{rendition}}/{{file}}", self._file)
        app.router.add_get("/api/recordings", self._list)
        app.router.add_delete("/api/recordings/{broadcast}/{id}", self._delete)

    # --- viewers ---

    async def _running(self, request: web.Request) -> web.StreamResponse:
        broadcast = _word(request, "broadcast")
        shown = self._gate.running(request, broadcast)
        if not self._recorder.dvr_s:
            raise _unknown(f"nothing goes back here: AVACAST_DVR_S is 0, asked for {broadcast!r}")

        def addressed() -> tuple[str, str] | None:
            with self._recorder.recording(broadcast) as recording:
                if recording is None or not recording.index:
                    return None
                return _below(recording.multivariant("dvr.m3u8"), recording.id), recording.id

        found = await asyncio.to_thread(addressed)
        if found is None:
            raise _unknown(f"no recording of {broadcast!r} runs on this node")
        text, id = found
        if shown is Shown.TO_ALL:
            # It was private when its recording began.
            shown = self._gate.recorded(request, broadcast, id)
        return _playlist(request, text, _lifetime(BRIEF, shown))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        broadcast, id = _word(request, "broadcast"), _word(request, "id")
        file, rendition = _word(request, "file"), request.match_info.get("rendition", "")
        shown = self._gate.recorded(request, broadcast, id)
        if rendition and not is_word(rendition):
            raise _unknown("no rendition has this name")
        name = f"{rendition}/{file}" if rendition else file
        if file in ("index.m3u8", "dvr.m3u8", KEY_FRAMES):
            skip = request.query.get("_HLS_skip") in ("YES", "v2")
            found = await asyncio.to_thread(self._made, broadcast, id, rendition, file, skip)
            if found is not None:
                text, lifetime = found
                return _playlist(request, text, _lifetime(lifetime, shown))
            if file == "dvr.m3u8":
                raise _unknown(f"the recording {id!r} does not run any more: it is at index.m3u8")
        path = f"recordings/{broadcast}/{id}/{name}"
        lifetime = _lifetime(FINAL if file.endswith((".m3u8", ".vtt", ".jpg")) else IMMUTABLE, shown)
        if await asyncio.to_thread(self._recorder.spooled, path):
            with suppress(NotStored):  # it has just gone: the store has it
                return await self._stored(request, self._spool, path, rendition, file, lifetime)
        store = self._recorder.store
        if store is None:
            raise _unknown(f"there is no {path}")
        with _told(path):
            return await self._stored(request, store, path, rendition, file, lifetime)

    def _made(self, broadcast: str, id: str, rendition: str, file: str, skip: bool) -> tuple[str, str] | None:
        """A playlist of a recording that is not whole in the store yet, and its lifetime."""
        with self._recorder.recording(broadcast, id) as recording:
            if recording is None or (rendition and rendition not in recording.tracks):
                return None
            lifetime = BRIEF if recording.state is State.LIVE else FINAL
            if file == KEY_FRAMES:
                keys = recording.key_frames(rendition) if rendition else ""
                return (keys, lifetime) if keys else None
            if file == "dvr.m3u8":
                if not self._recorder.dvr_s:
                    return None
                text = (
                    recording.dvr(rendition, self._recorder.dvr_s, skip=skip)
                    if rendition
                    else recording.multivariant(file)
                )
                return text, BRIEF
            return recording.media(rendition) if rendition else recording.multivariant(), lifetime

    async def _stored(
        self, request: web.Request, store: Store, path: str, rendition: str, file: str, lifetime: str
    ) -> web.StreamResponse:
        """A file of a store. Raises NotStored, BadName, StoreError before anything of it is sent."""
        checked(path)
        if file.endswith(".m3u8"):
            text = await asyncio.to_thread(whole, store, path, _MOST_PLAYLIST_BYTES)
            return _playlist(request, text.decode(), lifetime)
        size = await asyncio.to_thread(store.size, path)
        start, end, partial = byte_range(request, size)
        pieces = store.read(path, start, end)
        first = await asyncio.to_thread(next, pieces, b"")
        headers = {**_media_headers(request, rendition, file, lifetime), "Content-Length": str(end - start)}
        if partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        piece = first
        try:
            while piece:
                await response.write(piece)
                piece = await asyncio.to_thread(next, pieces, b"")
        except StoreError as error:
            # Half of it is sent: the one way left to say so is to end the connection before its length.
            _log.warning("store_failed", what=path, reason=str(error))
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response

    # --- operators ---

    async def _list(self, request: web.Request) -> web.Response:
        self._operator(request)
        limit_text, after = request.query.get("limit", "50"), request.query.get("after", "")
        if not limit_text.isdecimal() or not 1 <= int(limit_text[:4]) <= _MOST_LISTED or len(limit_text) > 4:
            raise BadRequest(f"limit is 1 to {_MOST_LISTED}", status=422, code="invalid_query")
        if after and not is_word(after.removeprefix(catalogue.PREFIX)[:100]):
            raise BadRequest("after is the `next` of the page before", status=422, code="invalid_query")
        with _told("the list of recordings"):
            page = await asyncio.to_thread(self._page, int(limit_text), after)
        return web.json_response(text=page.model_dump_json(), headers={"Cache-Control": "no-store"})

    def _page(self, limit: int, after: str) -> RecordingList:
        """What is on this machine and what is in the store, the newest first, each once."""
        running = {one.name: one for one in self._recorder.entries() if one.name > after}
        stored = catalogue.listed(self._recorder.store, after, limit) if self._recorder.store else []
        found = {**{one.name: one for one in stored}, **running}
        names = sorted(found)[:limit]
        more = len(found) > limit or len(stored) == limit
        views = [self._addressed(found[name].view) for name in names]
        return RecordingList(recordings=views, next=names[-1] if more and names else None)

    def _addressed(self, view: RecordingView) -> RecordingView:
        """With paths by which it can be watched."""
        if not self._gate.guards(view.id):
            return view
        paths = {name: getattr(view, name) for name in ("play", "film", "poster", "storyboard")}
        tokened = {name: self._gate.path(view.broadcast, path) for name, path in paths.items() if path}
        return view.model_copy(update={**tokened, "private": True})

    async def _delete(self, request: web.Request) -> web.Response:
        self._operator(request)
        broadcast, id = _word(request, "broadcast"), _word(request, "id")
        try:
            entry = catalogue.name_of(broadcast, id)
        except ValueError:
            raise _unknown(f"there is no recording {id!r} of {broadcast!r}") from None
        with _told(f"recording {id!r}"):
            there = await asyncio.to_thread(self._remove, broadcast, id, entry)
        if not there:
            raise _unknown(f"there is no recording {id!r} of {broadcast!r}")
        _log.info("recording_deleted", broadcast=broadcast, recording=id)
        return web.Response(status=204)

    def _remove(self, broadcast: str, id: str, entry: str) -> bool:
        with self._recorder.recording(broadcast, id) as recording:
            if recording is not None and recording.state is State.LIVE:
                raise Conflict(
                    f"the recording {id!r} is being made",
                    code="recording_running",
                    hint="end the broadcast first",
                )
        there = self._recorder.forget(broadcast, id)
        store = self._recorder.store
        if store is None:
            return there
        prefix = f"recordings/{broadcast}/{id}/"
        # Its entry last: who is interrupted finds it again, and can go on.
        while found := store.names(prefix, limit=_DELETE_AT_ONCE):
            there = True
            store.delete([one.name for one in found])
        try:
            store.size(entry)
        except NotStored:
            return there
        store.delete([entry])
        return True


def _lifetime(lifetime: str, shown: Shown) -> str:
    return _KEPT_BY_NOBODY if shown is Shown.BY_HEADER else lifetime


def _below(text: str, folder: str) -> str:
    """A multivariant playlist for one folder higher up."""
    lines = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            line = f"{folder}/{line}"
        lines.append(line.replace('URI="', f'URI="{folder}/'))
    return "\n".join(lines) + "\n"


def _word(request: web.Request, part: str) -> str:
    text = request.match_info[part]
    if not is_word(text):
        raise _unknown("no recording has this address")
    return text


def _unknown(detail: str) -> NotFound:
    return NotFound(
        detail, code="recording_unknown", hint="GET /api/recordings lists what there is", headers=_ERRORS
    )


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (NotStored, BadName):
        raise _unknown(f"there is no {what}") from None
    except StoreError as error:
        _log.warning("store_failed", what=what, reason=str(error))
        raise Unavailable(
            f"{what} cannot be had from the store now",
            code="store_unavailable",
            retry_after_s=2,
            headers=_ERRORS,
        ) from error


def _media_headers(request: web.Request, rendition: str, file: str, lifetime: str) -> dict[str, str]:
    saved = {}
    if "download" in request.query:
        # For pages of another host, whose browsers do not heed the link's own word.
        named = f"{request.match_info['broadcast']}-{request.match_info['id']}.{file.rpartition('.')[2]}"
        saved["Content-Disposition"] = f'attachment; filename="{named}"'
    return saved | {
        "Content-Type": content_type(file, rendition),
        "Cache-Control": lifetime,
        "Accept-Ranges": "bytes",
        "Access-Control-Expose-Headers": "Age, Date, Content-Length, Content-Range, ETag, Retry-After",
    }


def _playlist(request: web.Request, text: str, lifetime: str) -> web.StreamResponse:
    body = text.encode()
    tag = f'"{zlib.crc32(body):08x}-{len(body):x}"'
    headers = {
        "Cache-Control": lifetime,
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "Access-Control-Expose-Headers": "Age, Date, Content-Length, ETag, Retry-After",
    }
    if tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, content_type="application/vnd.apple.mpegurl", headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(ContentCoding.gzip)
    return response
