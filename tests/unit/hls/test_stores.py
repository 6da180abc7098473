"""Both stores do the same, and what a hostile name, or a store that fails, comes to."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import boto3
import m3u8
import pytest
from moto import mock_aws

from common.errors import Problem
from common.store.folder import Folder
from common.store.opening import open_store
from common.store.s3 import S3
from common.store.store import BadName, NotStored, Store, StoreError, Stream, whole
from hls.store import catalogue
from hls.store.outbox import LONGEST_WAIT_S, Item, Outbox
from hls.store.recorder import Recorder
from tests.harness.faulty_s3 import Fault, FaultyS3, faulty_s3
from tests.harness.recording import broadcast, play


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-that-nobody-may-see")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        yield Folder(tmp_path / "store")
        return
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="recordings")
        yield S3("recordings", "some/prefix", region="us-east-1")


def put(store: Store, name: str, body: bytes | Path | Stream) -> None:
    store.put(name, body, content_type="video/mp4", cache_control="public, max-age=1")


def test_what_is_put_can_be_read_listed_and_deleted(store: Store, tmp_path: Path) -> None:
    segment = tmp_path / "segment"
    segment.write_bytes(bytes(range(256)) * 20)
    put(store, "recordings/a/1/v0/1.m4s", segment)
    put(store, "recordings/a/1/index.m3u8", b"#EXTM3U")
    put(store, "recordings/a/1/index.m3u8", b"#EXTM3U\n")
    put(store, "recordings/ab/x", b"")
    big = [bytes([n]) * 1_500_000 for n in range(12)]
    put(store, "recordings/a/1/recording.mp4", Stream(lambda: iter(big)))
    assert whole(store, "recordings/a/1/v0/1.m4s", 1 << 20) == segment.read_bytes()
    assert b"".join(store.read("recordings/a/1/v0/1.m4s", 250, 260)) == segment.read_bytes()[250:260]
    assert b"".join(store.read("recordings/a/1/v0/1.m4s", 5100)) == segment.read_bytes()[5100:]
    assert whole(store, "recordings/a/1/recording.mp4", 1 << 26) == b"".join(big)
    assert whole(store, "recordings/a/1/index.m3u8", 100) == b"#EXTM3U\n"
    assert store.size("recordings/a/1/recording.mp4") == 18_000_000
    names = [one.name for one in store.names("recordings/")]
    assert names == sorted(names) and len(names) == 4
    assert [one.name for one in store.names("recordings/a/")] == names[:3]
    assert [one.name for one in store.names("recordings/", names[1], 1)] == names[2:3]
    assert [one.size_bytes for one in store.names("recordings/a/1/v0/")] == [5120]
    assert store.names("nothing/") == []
    with pytest.raises(StoreError, match="more than"):
        whole(store, "recordings/a/1/v0/1.m4s", 100)
    store.delete([*names[:3], "recordings/never/was"])
    assert [one.name for one in store.names("")] == ["recordings/ab/x"]
    for call in (store.size, lambda name: next(store.read(name))):
        with pytest.raises(NotStored):
            call("recordings/a/1/v0/1.m4s")


def test_a_list_is_made_while_another_deletes(tmp_path: Path) -> None:
    one, other = Folder(tmp_path), Folder(tmp_path)
    names = [f"recordings/a/{number:03d}/v0/1.m4s" for number in range(300)]
    for name in names:
        put(one, name, b"x")
    deleting = threading.Thread(target=lambda: [other.delete([name]) for name in names])
    deleting.start()
    while found := one.names("recordings/"):
        assert {stored.name for stored in found} <= set(names)
    deleting.join()


@pytest.mark.slow
def test_what_is_made_on_the_way_and_fails_leaves_nothing(store: Store) -> None:
    def failing() -> Iterator[bytes]:
        yield bytes(20_000_000)
        raise StoreError("a segment is gone")

    with pytest.raises(StoreError):
        put(store, "recordings/a/film.mp4", Stream(failing))
    assert store.names("") == []
    if isinstance(store, S3):
        assert "Uploads" not in store.client.list_multipart_uploads(Bucket="recordings")
    if isinstance(store, Folder):
        assert not [path for path in store.root.rglob("*") if path.is_file()]


NOT_OURS = (
    *("../x", "a/../b", "/etc/passwd", "a//b", "", ".hidden", "a/.b", "a\0b", "a\\b", "ä", "a b"),
    *("x" * 600, "a/" + "b" * 129, "a\n"),
)


def test_a_name_that_is_not_ours_is_refused(store: Store) -> None:
    for name in NOT_OURS:
        for call in (
            lambda name: put(store, name, b""),
            store.size,
            lambda name: next(store.read(name)),
            lambda name: store.delete([name]),
        ):
            with pytest.raises(BadName):
                call(name)


def test_objects_of_a_bucket_say_what_they_are(tmp_path: Path) -> None:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="recordings")
        put(S3("recordings", "p", region="us-east-1"), "a/1.m4s", b"x")
        head = client.head_object(Bucket="recordings", Key="p/a/1.m4s")
    assert (head["ContentType"], head["CacheControl"]) == ("video/mp4", "public, max-age=1")


@pytest.mark.parametrize(
    "address",
    [
        *("http://x", "x", "", "file://host/x", "file:relative", "file:///x?y=1", "s3://", "s3://B"),
        *("s3://user:the-secret@bucket", "s3://bucket/../x", "s3://bucket?endpoint=ftp://x", "s3://bucket?x"),
        *("s3://bucket?endpoint=http://u:the-secret@h", "s3://bucket?key=the-secret"),
    ],
)
def test_an_address_that_is_none_is_told_without_its_secrets(address: str) -> None:
    with pytest.raises(Problem) as refused:
        open_store(address)
    assert refused.value.code == "store_invalid" and refused.value.hint
    assert "the-secret" not in refused.value.detail


def test_addresses_of_stores(tmp_path: Path) -> None:
    folder = open_store((tmp_path / "with space").as_uri())
    assert isinstance(folder, Folder) and folder.root == tmp_path / "with space"
    bucket = open_store("s3://bucket/some/prefix?endpoint=http://127.0.0.1:9&region=eu-west-1")
    assert isinstance(bucket, S3) and bucket.bucket == "bucket"
    with pytest.raises(StoreError) as failed:
        put(bucket, "a", b"")
    assert "the-secret" not in str(failed.value) and "AKIA" not in str(failed.value)


def item(name: str, body: bytes | Stream = b"") -> Item:
    return Item(name, body, "", "")


def test_after_a_failure_one_is_tried_ever_more_seldom_until_one_succeeds() -> None:
    box = Outbox(parallel=3, seed=1)
    for name in "abcdef":
        box.add(item(name))
    taken = [box.take(0.0) for _ in range(4)]
    assert [one.name if one else None for one in taken] == ["a", "b", "c", None], "a few at a time, in order"
    now, waits = 0.0, []
    for one in taken[:3]:
        assert one
        box.failed(one, now)
    for _ in range(12):
        due = box.due_in(now)
        assert due is not None and box.take(now + due * 0.99) is None
        now += due
        one = box.take(now)
        assert one and box.take(now) is None, "one at a time"
        assert box.due_in(now) is None
        waits.append(box.failed(one, now))
    assert all(LONGEST_WAIT_S / 2 <= wait <= LONGEST_WAIT_S for wait in waits[4:])
    assert len(set(waits)) == len(waits), "never in step with others"
    now += waits[-1]
    one = box.take(now)
    assert one
    box.done(one)
    assert len([one for one in (box.take(now) for _ in range(4)) if one]) == 3, "all at once again"
    assert len(box) == 5


def test_what_is_made_on_the_way_does_not_stand_before_the_others() -> None:
    box = Outbox(parallel=1, seed=1)
    film = item("film", Stream(lambda: iter(())))
    box.add(film)
    box.add(item("a"))
    assert box.take(0) is film
    wait = box.failed(film, 0)
    one = box.take(wait)
    assert one and one.name == "a"
    box.add(item("film"))
    box.cancel("film")
    box.done(one)
    assert box.take(wait) is None and len(box) == 0


@pytest.mark.slow
def test_a_store_that_fails_a_quarter_of_the_time_has_everything_in_the_end(tmp_path: Path) -> None:
    kinds = (Fault.SLOW_DOWN, Fault.CUT, Fault.CUT_AFTER)
    tape = broadcast()
    with faulty_s3() as server:
        puts = itertools.count()

        def fault(method: str, _key: str) -> Fault:
            # Of the puts only: an upload in parts is several requests, and must not be in step with the faults.
            count = next(puts) if method == "PUT" else 1
            if count % 4:
                return Fault.NONE
            return Fault.SILENT if count == 8 else kinds[count // 4 % 3]

        server.fault = fault
        store = S3("bucket", "p", endpoint=server.url, answer_s=1.0)
        one = Recorder(tmp_path / "spool", store, bound_bytes=64 << 20)
        one.start()
        one.opened("demo", 2)
        play(one, tape.calls)
        server.until(lambda: finished(server))
        one.close(30)
        server.fault = lambda method, key: Fault.NONE
        (entry,) = catalogue.listed(store, "", 10)
        assert set(server.met) == set(Fault)
        assert entry.view.lost_segments == 0 and server.most_at_once <= 4 + 1, "and one that is silent"
        base = f"recordings/demo/{entry.view.id}"
        for rendition in ("v0", "a128", "a64"):
            text = whole(store, f"{base}/{rendition}/index.m3u8", 1 << 20).decode()
            assert text.endswith("#EXT-X-ENDLIST\n")
            for segment in m3u8.loads(text).segments:
                if not segment.gap_tag:
                    stored = whole(store, f"{base}/{rendition}/{segment.uri}", 1 << 24)
                    assert stored == tape.ever[rendition, segment.uri]
        headers = server.objects[f"p/{base}/{rendition}/{segment.uri}"][1]
        assert "the-secret" not in repr(headers) and headers["Cache-Control"].endswith("immutable")
        film = whole(store, f"{base}/recording.mp4", 1 << 26)
        assert len(film) == entry.view.film_bytes and not server.parts, "no part is left over"
        with av.open(io.BytesIO(film)) as container:
            assert sum(1 for _ in container.decode(video=0)) == pytest.approx(400, abs=4)


def finished(server: FaultyS3) -> bool:
    entries = [data for key, (data, _) in server.objects.items() if key.startswith("p/catalogue/")]
    return any(b'"finished"' in data for data in entries)
