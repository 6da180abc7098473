"""The addresses that viewers are told: given as they are, or learnt by asking a STUN server how it sees this machine (RFC 8489)."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Sequence

from common.errors import Problem

PREFIX = "stun:"
_PORT = 3478
_MAGIC = 0x2112A442
_BINDING_REQUEST, _BINDING_SUCCESS = 0x0001, 0x0101
_XOR_MAPPED_ADDRESS = 0x0020
_FIRST_TIMEOUT_S = 0.3
_ATTEMPTS = 4


def public_addresses(entries: Sequence[str]) -> list[str]:
    """IP addresses of `entries`, each an address or `stun:HOST[:PORT]`, without doubles.

    A STUN server is asked over IPv4 and IPv6, as far as it has both, for 4.5 s at most. Blocking: for the start of a role.
    Raises Problem `bad_address` or `stun_failed`, with what to do.
    """
    found: list[str] = []
    for entry in entries:
        learnt = _ask(entry.removeprefix(PREFIX)) if entry.startswith(PREFIX) else [_parsed(entry)]
        found.extend(address for address in learnt if address not in found)
    return found


def _parsed(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise _bad(text, "is no IP address") from None
    if address.is_unspecified or address.is_multicast:
        raise _bad(text, "is nobody's own address")
    return str(address)


def _bad(text: str, what: str) -> Problem:
    return Problem(
        f"--public-ip {text!r} {what}",
        code="bad_address",
        hint="give an IPv4 or IPv6 address, or stun:HOST:PORT to have it asked for",
    )


def _ask(server: str) -> list[str]:
    host, port = _server(server)
    try:
        ways = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise _failed(server, f"{host} cannot be resolved ({error.strerror or error})") from None
    answers, reasons = [], []
    for family in dict.fromkeys(way[0] for way in ways):
        address = next(way[4] for way in ways if way[0] == family)
        try:
            answers.append(_exchange(family, address))
        except OSError as error:
            reasons.append(f"{address[0]}: {error.strerror or error}")
    if not answers:
        raise _failed(server, "; ".join(reasons))
    return answers


def _server(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise _bad(PREFIX + text, "names no STUN server")
    return host, int(port)


def _failed(server: str, why: str) -> Problem:
    return Problem(
        f"the STUN server {server} did not tell this machine's public address: {why}",
        code="stun_failed",
        hint="is UDP to it open? otherwise name the address itself: --public-ip 203.0.113.7",
    )


def _exchange(family: int, server: tuple[object, ...]) -> str:
    """Asks once, repeats what is lost with doubled patience. Raises OSError (TimeoutError without an answer)."""
    transaction = secrets.token_bytes(12)
    request = struct.pack("!HHI", _BINDING_REQUEST, 0, _MAGIC) + transaction
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        own.connect(server)
        patience = _FIRST_TIMEOUT_S / 2
        for _ in range(_ATTEMPTS):
            patience *= 2
            own.send(request)
            until = time.monotonic() + patience
            while (left := until - time.monotonic()) > 0:
                own.settimeout(left)
                try:
                    answer = own.recv(2048)
                except TimeoutError:
                    break
                if (mapped := mapped_address(answer, transaction)) is not None:
                    return mapped
    raise TimeoutError("no answer")


def mapped_address(answer: bytes, transaction: bytes) -> str | None:
    """The address in a binding success response to `transaction`; None for anything else."""
    if len(answer) < 20 or answer[8:20] != transaction:
        return None
    kind, length, magic = struct.unpack("!HHI", answer[:8])
    if kind != _BINDING_SUCCESS or magic != _MAGIC or length > len(answer) - 20:
        return None
    at, end = 20, 20 + length
    mask = struct.pack("!I", _MAGIC) + transaction
    while at + 4 <= end:
        attribute, size = struct.unpack("!HH", answer[at : at + 4])
        value = answer[at + 4 : at + 4 + size]
        if len(value) < size or at + 4 + size > end:
            return None
        if attribute == _XOR_MAPPED_ADDRESS and size in (8, 20) and value[1] == (1 if size == 8 else 2):
            plain = bytes(one ^ other for one, other in zip(value[4:], mask, strict=False))
            return str(ipaddress.ip_address(plain))
        at += 4 + (size + 3) // 4 * 4
    return None
