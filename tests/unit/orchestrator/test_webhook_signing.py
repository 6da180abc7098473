"""Signatures of webhooks, checked by the receiver's code on the page that explains it."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.webhooks.signing import Secrets, headers

PAGE = Path(__file__).parents[3] / "docs/webhooks.md"
CLUSTER = "a secret of the tests, thirty-two characters"


def receiver() -> dict[str, Any]:
    """The snippet of docs/webhooks.md, as a receiver would have copied it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_page_of_the_docs_verifies_what_we_sign() -> None:
    verify, body = receiver()["verify"], b'{"type":"broadcast.live"}'
    secret = Secrets(CLUSTER).of("wh_1", 1)
    told = headers([secret], "evt_1", 1_700_000_000, body)
    verify(secret, told, body, now=1_700_000_100)
    older = Secrets(CLUSTER).of("wh_1", 2)
    verify(secret, headers([older, secret], "evt_1", 1_700_000_000, body), body, now=1_700_000_000)
    for wrong in (
        (older, told, body, 1_700_000_000),
        (secret, told, body + b" ", 1_700_000_000),
        (secret, {**told, "webhook-id": "evt_2"}, body, 1_700_000_000),
        (secret, {**told, "webhook-timestamp": "1700000001"}, body, 1_700_000_000),
        (secret, {**told, "webhook-signature": "v1,"}, body, 1_700_000_000),
        (secret, told, body, 1_700_000_301),
        (secret, told, body, 1_699_999_000),
    ):
        with pytest.raises(ValueError):
            verify(wrong[0], wrong[1], wrong[2], now=wrong[3])


def test_a_signature_is_that_of_the_specification() -> None:
    # The example of the Standard Webhooks specification's reference implementations.
    told = headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert told["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_endpoint_and_each_renewal_has_a_secret_of_its_own() -> None:
    secrets = Secrets(CLUSTER)
    made = {secrets.of(endpoint, version) for endpoint in ("wh_1", "wh_2") for version in (1, 2)}
    made.add(Secrets(CLUSTER + "x").of("wh_1", 1))
    assert len(made) == 5
    assert all(len(base64.b64decode(one.removeprefix("whsec_"))) == 32 for one in made)
