"""What waits to be sent is counted, and what was interrupted is taken out."""

from __future__ import annotations

from speech_service.channel import MESSAGES_A_S, MessageRate
from speech_service.outbox import FULL_BYTES, MOST_MESSAGES, Outbox, Outgoing


def test_an_interruption_takes_out_its_own_sound_only() -> None:
    box = Outbox()
    box.push(Outgoing("clause", 1))
    box.push(Outgoing(b"aaaa", 1))
    box.push(Outgoing(b"bb", 2))
    assert box.holds(1) and box.drop(1) == 4
    assert not box.holds(1) and box.sound_bytes == 2
    box.push_first(Outgoing("cancelled"))
    assert [box.pop(), box.pop(), box.pop()] == [Outgoing("cancelled"), Outgoing(b"bb", 2), None]
    assert box.sound_bytes == 0


def test_it_is_full_of_sound_and_overflows_with_messages() -> None:
    box = Outbox()
    box.push(Outgoing(bytes(FULL_BYTES - 1), 1))
    assert not box.full
    box.push(Outgoing(b"x", 1))
    assert box.full and not box.overflowing
    for _ in range(MOST_MESSAGES):
        box.push(Outgoing("{}"))
    assert box.overflowing


def test_a_language_model_is_never_a_flood_and_a_loop_is_one() -> None:
    rate = MessageRate(0.0)
    assert all(rate.take(number / (MESSAGES_A_S * 0.9)) for number in range(5_000))
    rate = MessageRate(0.0)
    assert not all(rate.take(0.001 * number) for number in range(2_000))
    assert rate.take(60.0), "a pause makes it good"
