"""Public addresses: named, or learnt from a STUN server, which here is a socket of the test."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Problem
from sfu.addresses import mapped_address, public_addresses

MAGIC = 0x2112A442


def answer(request: bytes, address: str) -> bytes:
    """A binding success response that says `address`, behind an attribute that nobody knows."""
    transaction, ip = request[8:20], ipaddress.ip_address(address)
    mask = struct.pack("!I", MAGIC) + transaction
    hidden = bytes(one ^ other for one, other in zip(ip.packed, mask, strict=False))
    value = struct.pack("!BBH", 0, 1 if ip.version == 4 else 2, 4711 ^ MAGIC >> 16) + hidden
    attributes = struct.pack("!HH3sx", 0x8022, 3, b"abc") + struct.pack("!HH", 0x0020, len(value)) + value
    return struct.pack("!HHI", 0x0101, len(attributes), MAGIC) + transaction + attributes


@contextmanager
def server(host: str, reply: Callable[[int, bytes], list[bytes]]) -> Iterator[int]:
    """A UDP server whose answers to its n-th datagram are those of `reply(n, datagram)`. Gives its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        own.bind((host, 0))

        def serve() -> None:
            for count in range(1000):
                datagram, peer = own.recvfrom(2048)
                if datagram == b"end":
                    return
                for one in reply(count, datagram):
                    own.sendto(one, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield own.getsockname()[1]
        finally:
            with socket.socket(family, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", own.getsockname()[:2])
            thread.join()


def test_addresses_are_kept_in_order_without_doubles() -> None:
    named = ["203.0.113.7", "2001:DB8::7", "203.0.113.7"]
    assert public_addresses(named) == ["203.0.113.7", "2001:db8::7"]


def test_a_stun_server_is_asked_and_what_is_lost_is_repeated() -> None:
    def reply(count: int, request: bytes) -> list[bytes]:
        forged = answer(request[:8] + bytes(12), "192.0.2.66")
        return [forged, answer(request, "203.0.113.7")] if count == 1 else [b"", b"garbage"]

    with server("127.0.0.1", reply) as port:
        assert public_addresses([f"stun:127.0.0.1:{port}", "198.51.100.1"]) == ["203.0.113.7", "198.51.100.1"]


def test_ipv6_is_asked_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    with server("::1", lambda _, request: [answer(request, "2001:db8::7")]) as port:
        assert public_addresses([f"stun:[::1]:{port}"]) == ["2001:db8::7"]


@pytest.mark.parametrize(
    "entry",
    [
        "example",
        "203.0.113.7:80",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "stun:",
        "stun::1",
        "stun:host:0",
        "stun:host:x",
    ],
)
def test_what_is_no_address_is_refused_with_advice(entry: str) -> None:
    with pytest.raises(Problem) as told:
        public_addresses([entry])
    assert told.value.code == "bad_address"
    assert entry in told.value.detail
    assert told.value.hint


def test_a_stun_server_that_is_not_there_is_named_with_advice() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(Problem) as told:
        public_addresses([f"stun:127.0.0.1:{port}"])
    assert told.value.code == "stun_failed"
    assert f"127.0.0.1:{port}" in told.value.detail
    assert "--public-ip" in (told.value.hint or "")


@given(st.binary(max_size=80), st.integers(0, 60))
def test_no_answer_however_broken_is_misread(noise: bytes, end: int) -> None:
    request = struct.pack("!HHI", 1, 0, MAGIC) + bytes(range(12))
    whole = answer(request, "203.0.113.7")
    assert mapped_address(whole, request[8:]) == "203.0.113.7"
    assert mapped_address(whole[: min(end, len(whole) - 1)], request[8:]) is None
    assert mapped_address(noise, request[8:]) is None
