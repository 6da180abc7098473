"""Server-sent events from bytes, however they are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avacast.client.events import MOST_BYTES, Event, EventReader
from orchestrator import feed

_FACTS = st.dictionaries(st.text(max_size=8), st.text() | st.integers() | st.none(), max_size=4)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.from_regex(r"[a-z:]{1,12}", fullmatch=True), _FACTS), max_size=5),
    st.integers(1, 40),
)
def test_what_the_orchestrator_writes_is_read_wherever_it_is_cut(
    told: list[tuple[str, dict[str, object]]], step: int
) -> None:
    data = b": still here\n\n".join(feed.Event(name, None, facts).encode() for name, facts in told)
    reader, found = EventReader(), []
    for at in range(0, len(data), step):
        found += reader.read(data[at : at + step])
    assert found == [Event(name, facts) for name, facts in told]


def test_carriage_returns_and_data_of_several_lines_are_read() -> None:
    text = 'event: a\r\ndata: {"x":\r\ndata: 1}\r\nid: 7\r\n\r\ndata: {}\n\n'
    assert EventReader().read(text.encode()) == [Event("a", {"x": 1}), Event("message", {})]


@pytest.mark.parametrize("data", [b"data: [1]\n\n", b"data: nonsense\n\n", b"x" * (MOST_BYTES + 1)])
def test_what_is_no_event_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        EventReader().read(data)


def test_an_event_without_an_end_does_not_fill_the_memory() -> None:
    reader = EventReader()
    line = b"data: " + json.dumps("x" * 1000).encode() + b"\n"
    with pytest.raises(ValueError, match="more than"):
        for _ in range(2 * MOST_BYTES // len(line)):
            reader.read(line)
