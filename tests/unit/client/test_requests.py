"""Arguments become requests, refusals become exceptions."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from avacast.client import BadRequest, Conflict, NotFound, Refused, ServerFailed, TooMany, Unavailable
from avacast.client.errors import refusal
from avacast.client.generated import models
from avacast.client.generated.operations import OPERATIONS
from avacast.client.operation import request_of


@settings(max_examples=40)
@given(st.text(min_size=1).filter(lambda one: one not in (".", "..") and one.isprintable()))
def test_any_id_stays_one_part_of_the_path(name: str) -> None:
    request = request_of(OPERATIONS["broadcasts_read"], {"broadcast": name}, "")
    url = URL("http://host" + request.path, encoded=True)
    assert url.raw_path.count("/") == 3 and not url.raw_query_string
    assert url.path.removeprefix("/api/broadcasts/") == name or "/" in name


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_that_would_change_the_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        request_of(OPERATIONS["broadcasts_end"], {"broadcast": name}, "")


def test_what_is_not_given_is_not_sent() -> None:
    request = request_of(OPERATIONS["broadcasts_create"], {"id": "a", "public": False, "title": None}, "key")
    assert json.loads(request.body or b"") == {"id": "a", "public": False}
    assert request.headers["Idempotency-Key"] == "key"
    request = request_of(OPERATIONS["cost_read"], {"hours": 2.5, "listeners": "1,2", "kbps": None}, "key")
    assert request.path == "/api/cost?listeners=1%2C2&hours=2.5" and request.body is None
    assert "Idempotency-Key" not in request.headers


def test_a_parameter_that_is_a_word_of_python_has_its_own_name_on_the_wire() -> None:
    since = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    arguments = {"broadcast": "town", "from_": since, "step": 60}
    path = request_of(OPERATIONS["broadcasts_analytics"], arguments, "key").path
    assert dict(URL(path).query) == {"from": "2026-03-01 12:00:00+00:00", "step": "60"}


def test_models_are_sent_as_json_and_what_is_needed_must_be_there() -> None:
    cues = [models.Cue(at_s=1.5, text="Hello")]
    request = request_of(OPERATIONS["broadcasts_play_script"], {"broadcast": "a", "cues": cues}, "")
    assert json.loads(request.body or b"") == {"cues": [{"at_s": 1.5, "text": "Hello"}]}
    with pytest.raises(ValueError, match="cues is missing"):
        request_of(OPERATIONS["broadcasts_play_script"], {"broadcast": "a"}, "")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (404, NotFound),
        (409, Conflict),
        (418, BadRequest),
        (429, TooMany),
        (500, ServerFailed),
        (503, Unavailable),
    ],
)
def test_a_refusal_has_its_code_and_what_to_do(status: int, kind: type[Refused]) -> None:
    body = {"type": "t", "title": "t", "status": status, "code": "broadcast_exists", "detail": "it is there"}
    error = refusal(status, {}, json.dumps(body).encode())
    assert type(error) is kind
    assert (error.status, error.code, error.detail, error.retry_after_s) == (
        status,
        "broadcast_exists",
        "it is there",
        None,
    )
    assert error.advice and error.advice in str(error)
    assert (
        refusal(status, {}, json.dumps({**body, "hint": "wait", "retry_after_s": 2}).encode()).advice
        == "wait"
    )


@given(st.binary(max_size=200))
def test_the_page_of_a_proxy_is_a_refusal_too(body: bytes) -> None:
    error = refusal(502, {"Retry-After": "7"}, body)
    assert error.status == 502 and error.code


def test_a_proxy_may_say_when_to_come_again() -> None:
    assert refusal(503, {"Retry-After": "7"}, b"<html>").retry_after_s == 7
    assert refusal(503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, b"").retry_after_s is None


def test_words_and_fields_of_a_newer_orchestrator_are_read() -> None:
    switch = {"on": True, "force": "by_moon", "reason": "initial", "colour": "blue"}
    told = models.SwitchState.model_validate(switch)
    assert told.force == "by_moon" and told.reason is models.Reason.INITIAL
