"""Where webhooks may go: nothing that only our machines reach, however it is written."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from common.errors import BadRequest
from orchestrator.webhooks.addresses import AddressRefused, PublicResolver, is_public, parse_url

OURS = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1", "::127.0.0.1",
]  # fmt: skip
OPEN = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("text", OURS)
def test_our_own_addresses_are_refused(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", OPEN)
def test_those_of_the_internet_are_not(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x", "http://[::1]:8080/", "https://169.254.169.254/latest/meta-data", "http://[::ffff:10.0.0.1]/",
        "ftp://example.org/", "file:///etc/passwd", "gopher://x/", "example.org/hooks", "", "https://", "https:///x", "//example.org/",
        "https://ann:secret@example.org/", "https://ann@example.org/", "https://example.org/#part", "https://example.org:99999/",
        "http://example.org:0/", "https://example.org/" + "x" * 2000,
    ],
)  # fmt: skip
def test_urls_that_no_webhook_may_have(url: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_url(url, private=False)
    assert (refusal.value.status, refusal.value.code) == (422, "webhook_url_refused")
    assert "secret" not in refusal.value.detail


def test_a_setting_allows_addresses_of_ours_and_nothing_else() -> None:
    assert parse_url("http://127.0.0.1:8000/hooks", private=True).port == 8000
    with pytest.raises(BadRequest):
        parse_url("file:///etc/passwd", private=True)


class Names(AbstractResolver):
    """A name service that gives these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0)
            for one in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_of_a_name_only_the_open_addresses_are_connected_to() -> None:
    resolver = PublicResolver(private=False, inner=Names("10.0.0.1", "1.1.1.1", "fe80::1%eth0"))
    assert [one["host"] for one in await resolver.resolve("mixed.example", 443)] == ["1.1.1.1"]


async def test_a_name_that_leads_to_us_is_refused_unless_the_setting_allows_it() -> None:
    inner = Names("127.0.0.1", "::1", "169.254.169.254")
    with pytest.raises(AddressRefused, match=r"rebound\.example"):
        await PublicResolver(private=False, inner=inner).resolve("rebound.example", 80)
    assert len(await PublicResolver(private=True, inner=inner).resolve("rebound.example", 80)) == 3
