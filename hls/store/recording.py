"""One recording: which segments of which renditions it has, where they are, and its playlists. No I/O and no clock.

Everything that happens to it is an operation (a line of its journal), and `apply` is the only way in: so a recording that is read back
is the same as one that was never away.

LIVE until `end` -> ENDED, when everything that will ever belong to it is known -> DONE, when all of it is in the store."""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from common.recordings import place
from common.store.store import is_word
from hls.store.film import Piece
from hls.store.gallery import Scene
from hls.store.journal import Op
from hls.store.rows import Row

_VERSION = 6
_DELTA_VERSION = 9
KEY_FRAMES = "keys.m3u8"
_KEYS = "#EXT-X-I-FRAME-STREAM-INF:"
_PRIVATE = "-private"
_SKIP_TARGETS = 6
"""CAN-SKIP-UNTIL: "MUST be at least six times the Target Duration"."""


class State(enum.StrEnum):
    LIVE = "recording"
    ENDED = "finishing"
    DONE = "finished"


@dataclass(slots=True)
class File:
    """A file of the recording that is, or was, in the spool."""

    size_bytes: int
    crc: int
    sent: bool = False


@dataclass(slots=True)
class Track:
    """One rendition. `rows` have consecutive numbers."""

    rows: list[Row] = field(default_factory=list)
    size_bytes: int = 0
    duration_s: float = 0.0
    peak_bps: float = 0.0
    lost: int = 0
    discontinuities: int = 0
    """Of segments that are forgotten."""
    version: int = 0
    places: dict[str, int] = field(default_factory=dict)
    """Number of the segment of each name; a name has the number that its packager gave."""
    texts: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Playlists that were made, with the version they are of."""

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.places[row.uri] = row.msn
        self.size_bytes += row.size_bytes
        self.duration_s += row.duration_s
        if not row.gap and row.duration_s > 0:
            self.peak_bps = max(self.peak_bps, row.size_bytes * 8 / row.duration_s)
        self.version += 1

    def row(self, uri: str) -> Row | None:
        """The segment of this name."""
        msn = self.places.get(uri)
        return None if msn is None else self.rows[msn - self.rows[0].msn]

    def forget(self, count: int) -> None:
        """The first `count` segments are listed no longer."""
        if count:
            self.discontinuities += sum(row.discontinuity for row in self.rows[:count])
            for row in self.rows[:count]:
                self.places.pop(row.uri, None)
            del self.rows[:count]
            self.version += 1

    @property
    def average_bps(self) -> float:
        """Over all that is there, gaps left out."""
        length = sum(row.duration_s for row in self.rows if not row.gap)
        return self.size_bytes * 8 / length if length else 0.0


class Recording:
    """`id` is its name below the broadcast, `first` the number of its first segment. Segments of before it are nothing of it."""

    def __init__(self, broadcast: str, id: str, first: int, started: str, target_s: int) -> None:
        if not (is_word(broadcast) and is_word(id)):
            raise ValueError(f"{broadcast!r}/{id!r} cannot be the name of a recording")
        self.broadcast, self.id, self.first, self.started, self.target_s = (
            broadcast,
            id,
            first,
            started,
            target_s,
        )
        self.state = State.LIVE
        self.tracks: dict[str, Track] = {}
        self.files: dict[str, File] = {}
        self.index = ""
        self.variants: dict[str, str] = {}
        self.unsent = 0
        self.film_bytes = 0
        self.pictured = False
        """It has a poster and a storyboard."""

    @classmethod
    def opened(cls, op: Op) -> Recording:
        """The recording that the first line of a journal opens. Raises ValueError, KeyError, TypeError."""
        if op["op"] != "open":
            raise ValueError("a journal begins with its recording")
        return cls(
            str(op["broadcast"]), str(op["id"]), int(op["first"]), str(op["started"]), int(op["target_s"])
        )

    @property
    def opening(self) -> Op:
        """The first line of its journal."""
        return {
            "op": "open",
            "broadcast": self.broadcast,
            "id": self.id,
            "first": self.first,
            "started": self.started,
            "target_s": self.target_s,
        }

    @property
    def path(self) -> str:
        """Where its objects are in the store, and below the spool."""
        return f"recordings/{self.broadcast}/{self.id}"

    @property
    def catalogue_name(self) -> str:
        """The object that lists it. The newest recording comes first in the order of names."""
        started = datetime.fromisoformat(self.started).timestamp()
        return place(self.broadcast, self.id, started)

    @property
    def last(self) -> Row | None:
        """The newest segment of the rendition that is furthest."""
        rows = [track.rows[-1] for track in self.tracks.values() if track.rows]
        return max(rows, key=lambda row: row.msn, default=None)

    @property
    def duration_s(self) -> float:
        """Of the longest rendition."""
        return max((track.duration_s for track in self.tracks.values()), default=0.0)

    @property
    def size_bytes(self) -> int:
        """Of all renditions."""
        return sum(track.size_bytes for track in self.tracks.values())

    @property
    def lost(self) -> int:
        """Segments that were broadcast and are not in the recording."""
        return sum(track.lost for track in self.tracks.values())

    def apply(self, op: Op) -> None:
        """Takes one operation. Raises ValueError, KeyError, TypeError for what is none."""
        match op["op"]:
            case "index":
                self._take_index(str(op["text"]))
            case "init":
                self._file(f"{op['rendition']}/{op['name']}", op)
            case "row":
                self._take_row(op)
            case "lost":
                self._lose(str(op["rendition"]), int(op["msn"]))
            case "sent":
                found = self.files.get(str(op["name"]))
                if found is not None and not found.sent:
                    found.sent = True
                    self.unsent -= 1
            case "end":
                self.state = State.ENDED
            case "film":
                self.film_bytes = int(op["size"])
            case "pictures":
                self.pictured = True
            case "done":
                self.state = State.DONE
            case _:
                pass  # what a newer version notes

    def _file(self, name: str, op: Op) -> None:
        if not all(map(is_word, name.split("/"))):
            raise ValueError(f"{name!r} cannot be a file of a recording")
        if name not in self.files:
            self.files[name] = File(int(op["size"]), int(op["crc"]))
            self.unsent += 1

    def _take_row(self, op: Op) -> None:
        rendition = str(op["rendition"])
        row = Row(
            int(op["msn"]),
            str(op["uri"]),
            str(float(op["duration"])) if not isinstance(op["duration"], str) else op["duration"],
            str(op["date"]),
            str(op["init"]),
            bool(op.get("discontinuity")),
            bool(op.get("gap")),
            int(op.get("size", 0)),
            int(op.get("key", 0)),
        )
        track = self.tracks.setdefault(rendition, Track())
        if not is_word(rendition) or row.msn < self.first:
            raise ValueError(f"segment {row.msn} of {rendition!r} is not of this recording")
        if track.rows and row.msn != track.rows[-1].msn + 1:
            raise ValueError(f"segment {row.msn} of {rendition!r} follows {track.rows[-1].msn}")
        if row.uri in track.places:
            raise ValueError(f"there is a segment {row.uri} of {rendition!r} already")
        if row.size_bytes:
            self._file(f"{rendition}/{row.uri}", op)
        track.add(row)
        track.lost += bool(op.get("lost"))

    def _lose(self, rendition: str, msn: int) -> None:
        track = self.tracks[rendition]
        index = msn - track.rows[0].msn
        row = track.rows[index]
        if row.msn != msn or not row.size_bytes:
            return
        found = self.files.pop(f"{rendition}/{row.uri}", None)
        self.unsent -= found is not None and not found.sent
        track.rows[index] = replace(row, gap=True, size_bytes=0, key_bytes=0)
        track.size_bytes -= row.size_bytes
        track.lost += 1
        track.version += 1

    def _take_index(self, text: str) -> None:
        self.index = text
        self.variants.update(_variants(text))

    def pieces(self, kind: str) -> list[Piece]:
        """The segments of the best rendition of a kind ("v", "a"): of pictures the largest, of sound the AAC with most bits."""
        best = self._best(kind)
        rows = [row for row in self.tracks[best].rows if row.size_bytes] if best else []
        return [_piece(best, row) for row in rows]

    def scenes(self) -> list[Scene]:
        """The time line of the best pictures, gaps with it."""
        best, at, found = self._best("v"), 0.0, []
        for row in self.tracks[best].rows if best else []:
            found.append(Scene(at, at + row.duration_s, _piece(best, row) if row.size_bytes else None))
            at += row.duration_s
        return found

    def _best(self, kind: str) -> str:
        return max(
            (name for name, track in self.tracks.items() if name.startswith(kind) and track.size_bytes),
            key=lambda name: (self._pixels(name), "opus" not in name, self.tracks[name].average_bps),
            default="",
        )

    def _pixels(self, rendition: str) -> int:
        lines = (line for key, line in self.variants.items() if key.partition("|")[0] == rendition)
        sizes = (re.search(r"RESOLUTION=(\d+)x(\d+)", line) for line in lines)
        return max((int(size[1]) * int(size[2]) for size in sizes if size), default=0)

    # --- playlists ---

    def multivariant(self, playlist: str = "index.m3u8") -> str:
        """The multivariant playlist, referring to media playlists of the name `playlist`: every variant there ever was, with bitrates as
        they have been over the whole recording."""
        folders = dict(re.findall(r'GROUP-ID="([^"]+)"[^\n]*URI="([^"/]+)/', self.index))
        now = _variants(self.index)
        lines = [
            line
            for line in self.index.splitlines()
            if line and not _is_variant(line) and not line.startswith(_KEYS)
        ]
        for key, line in {**now, **self.variants}.items():
            folder, _, group = key.partition("|")
            if folder not in self.tracks:
                continue
            tracks = [self.tracks[one] for one in (folder, folders.get(group, "")) if one in self.tracks]
            peak = max(1, round(sum(track.peak_bps for track in tracks)))
            average = max(1, round(sum(track.average_bps for track in tracks)))
            line = re.sub(r"(?<=[:,])BANDWIDTH=\d+", f"BANDWIDTH={peak}", line)
            line = re.sub(r"AVERAGE-BANDWIDTH=\d+", f"AVERAGE-BANDWIDTH={min(average, peak)}", line)
            lines += [line, f"{folder}/index.m3u8"]
        if playlist == "index.m3u8" and self.state is not State.LIVE:
            lines += filter(None, map(self._key_frames, self.tracks))
        return "\n".join(lines).replace("/index.m3u8", f"/{playlist}") + "\n"

    def _key_frames(self, rendition: str) -> str:
        """The line that names its playlist of key frames alone, if it has one; those of the live window were other files."""
        rows = [row for row in self.tracks[rendition].rows if row.key_bytes]
        rates = [row.key_bytes * 8 / row.duration_s for row in rows if row.duration_s]
        described = next(
            (line for key, line in self.variants.items() if key.partition("|")[0] == rendition), ""
        )
        size, codec = (
            re.search(r"RESOLUTION=\d+x\d+", described),
            re.search(r'CODECS="(avc1[^",]*)', described),
        )
        if not (rates and size and codec):
            return ""
        peak, average = math.ceil(max(rates)), math.ceil(sum(rates) / len(rates))
        bandwidth = f"BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}"
        return f'{_KEYS}{bandwidth},CODECS="{codec[1]}",{size[0]},URI="{rendition}/{KEY_FRAMES}"'

    def media(self, rendition: str) -> str:
        """The media playlist of all segments: an EVENT while the broadcast runs, VOD from its end on."""
        track = self.tracks[rendition]
        kind = "EVENT" if self.state is State.LIVE else "VOD"
        return self._kept(track, kind, lambda: self._list(track.rows, kind))

    def key_frames(self, rendition: str) -> str:
        """The playlist of key frames alone, of a recording that has ended: pieces of the same segments. Empty when it has none."""
        if self.state is State.LIVE or not self._key_frames(rendition):
            return ""
        track = self.tracks[rendition]
        return self._kept(track, "keys", lambda: self._list(track.rows, "VOD", keys=True))

    def stored(self, rendition: str) -> str:
        """The media playlist as it is kept beside the segments: it ends before the first segment that is not in the store yet."""
        track = self.tracks[rendition]
        there = 0
        for row in track.rows:
            found = self.files.get(f"{rendition}/{row.uri}")
            if found is not None and not found.sent:
                break
            there += 1
        if self.state is not State.LIVE and there == len(track.rows):
            return self.media(rendition)
        return self._list(track.rows[:there], "EVENT")

    def dvr(self, rendition: str, window_s: float, *, skip: bool = False) -> str:
        """The media playlist of the last `window_s`; with `skip` as a delta update, where there is enough to skip."""
        track = self.tracks[rendition]
        return self._kept(track, f"dvr{window_s}{skip}{self.state}", lambda: self._dvr(track, window_s, skip))

    @staticmethod
    def _kept(track: Track, what: str, make: object) -> str:
        version, text = track.texts.get(what, (-1, ""))
        if version != track.version:
            assert callable(make)
            text = str(make())
            track.texts[what] = (track.version, text)
        return text

    def _list(self, rows: list[Row], kind: str, *, keys: bool = False) -> str:
        head = [
            f"#EXTM3U\n#EXT-X-VERSION:{_VERSION}\n#EXT-X-TARGETDURATION:{self.target_s}\n",
            f"#EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-MEDIA-SEQUENCE:{rows[0].msn if rows else self.first}\n",
            "#EXT-X-DISCONTINUITY-SEQUENCE:0\n",
            "#EXT-X-I-FRAMES-ONLY\n" if keys else "",
        ]
        return "".join([*head, *_lines(rows, keys=keys), "#EXT-X-ENDLIST\n" if kind == "VOD" else ""])

    def _dvr(self, track: Track, window_s: float, skip: bool) -> str:
        length, begin = 0.0, len(track.rows)
        while begin and length < window_s:
            begin -= 1
            length += track.rows[begin].duration_s
        rows = track.rows[begin:]
        until = _SKIP_TARGETS * self.target_s
        left, skipped = length, 0
        if skip:
            while skipped < len(rows) and left - rows[skipped].duration_s >= until:
                left -= rows[skipped].duration_s
                skipped += 1
        discontinuities = track.discontinuities + sum(row.discontinuity for row in track.rows[:begin])
        head = (
            f"#EXTM3U\n#EXT-X-VERSION:{_DELTA_VERSION if skipped else _VERSION}\n#EXT-X-TARGETDURATION:{self.target_s}\n"
            f"#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL={until:.3f},HOLD-BACK={3 * self.target_s:.3f}\n"
            f"#EXT-X-MEDIA-SEQUENCE:{rows[0].msn if rows else self.first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}\n"
        )
        if skipped:
            head += f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n"
        tail = "" if self.state is State.LIVE else "#EXT-X-ENDLIST\n"
        return "".join([head, *_lines(rows[skipped:]), tail])


def recording_id(started: str, random: str, *, private: bool = False) -> str:
    """The name of a recording below its broadcast: when it began, what nobody guesses, and whether it needs a token."""
    at = datetime.fromisoformat(started).astimezone(UTC)
    return f"{at:%Y%m%dT%H%M%SZ}-{random}{_PRIVATE if private else ''}"


def is_private(id: str) -> bool:
    """Whether the recording of this name needs a token."""
    return id.endswith(_PRIVATE)


def started_of(id: str) -> float:
    """When the recording of this name began, in seconds since 1970. Raises ValueError for a name of another form."""
    return datetime.strptime(id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _lines(rows: list[Row], *, keys: bool = False) -> list[str]:
    init, lines = "", []
    for row in rows:
        lines.append(row.lines(init, keys=keys))
        init = row.init or init
    return lines


def _piece(rendition: str, row: Row) -> Piece:
    return Piece(row.msn, f"{rendition}/{row.uri}", f"{rendition}/{row.init}")


def _is_variant(line: str) -> bool:
    return line.startswith("#EXT-X-STREAM-INF:") or not line.startswith("#")


def _variants(text: str) -> dict[str, str]:
    """The variants of a multivariant playlist: by folder and audio group, the line that describes each."""
    found = {}
    for line, uri in re.findall(r"^(#EXT-X-STREAM-INF:[^\n]*)\n([^#\n/]+)/", text, re.MULTILINE):
        group = re.search(r'AUDIO="([^"]+)"', line)
        found[f"{uri}|{group[1] if group else ''}"] = line
    return found
