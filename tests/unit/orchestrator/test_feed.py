"""The live feed's readers: bounded, and asked again when somebody may see less."""

from __future__ import annotations

from orchestrator.feed import Feed


async def test_a_slow_reader_loses_the_oldest_and_never_a_doubt() -> None:
    feed = Feed()
    with feed.reader(None) as slow, feed.reader("town") as idle, feed.reader("shop") as other:
        for number in range(100):
            feed.publish("viewers", {"total": number}, broadcast="shop")
        feed.doubt()
        for number in range(100, 200):
            feed.publish("viewers", {"total": number}, broadcast="shop")
        assert slow.doubted and idle.doubted and other.doubted
        came = [slow.get_nowait() for _ in range(slow.qsize())]
        assert [one.data["total"] for one in came if one] == list(range(136, 200))
        assert idle.qsize() == 1, "which wakes it"
        feed.doubt()
        assert idle.qsize() == 1


async def test_the_end_comes_to_a_reader_that_is_full() -> None:
    feed = Feed()
    with feed.reader(None) as reader:
        for _ in range(100):
            feed.publish("node", {})
        feed.close()
        assert [reader.get_nowait() for _ in range(reader.qsize())][-1] is None
