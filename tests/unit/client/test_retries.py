"""When a call that failed is made again, in numbers."""

from __future__ import annotations

import pytest

from avacast.client import AvacastError, Refused, Retries, Unreachable
from avacast.client.errors import refusal

RETRIES = Retries(attempts=4, first_s=0.25, longest_s=5, patience_s=30)
GONE = Unreachable("http://a", "refused")


def refused(status: int, code: str = "x", retry_after_s: float | None = None) -> Refused:
    error = refusal(status, {}, f'{{"code": "{code}", "detail": "d"}}'.encode())
    error.retry_after_s = retry_after_s
    return error


def wait(
    error: AvacastError, attempt: int = 1, waited_s: float = 0, *, repeatable: bool = True
) -> float | None:
    return RETRIES.wait_s(error, attempt, waited_s, repeatable=repeatable, drawn=1.0)


@pytest.mark.parametrize("error", [GONE, refused(502), refused(503), refused(504)])
def test_what_may_have_been_done_comes_again_only_if_twice_is_as_good_as_once(error: AvacastError) -> None:
    assert wait(error) == 0.25
    assert wait(error, repeatable=False) is None


def test_a_limit_had_done_nothing_so_anything_comes_again() -> None:
    assert wait(refused(429, retry_after_s=3), repeatable=False) == 3


def test_a_request_that_is_under_way_is_asked_for_again() -> None:
    assert wait(refused(409, "request_under_way", 1)) == 1
    assert wait(refused(409, "broadcast_exists")) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
def test_what_will_be_refused_again_is_not_asked_again(status: int) -> None:
    assert wait(refused(status)) is None


def test_waits_double_and_are_spread_over_half_of_their_length() -> None:
    longest = [
        Retries(attempts=9).wait_s(GONE, attempt, 0, repeatable=True, drawn=1) for attempt in range(1, 8)
    ]
    assert longest == [0.25, 0.5, 1, 2, 4, 5, 5]
    assert RETRIES.wait_s(GONE, 3, 0, repeatable=True, drawn=0) == 0.5


def test_patience_ends_by_attempts_and_by_time() -> None:
    assert wait(GONE, attempt=4) is None
    assert wait(refused(503, retry_after_s=20), waited_s=9) == 20
    assert wait(refused(503, retry_after_s=20), waited_s=11) is None
