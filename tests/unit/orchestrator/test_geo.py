"""Geography: real addresses by the real country database, and whom a proxy is believed."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from orchestrator.geo import Geo, Place, client_address, country_place, parse_networks, region_place
from orchestrator.placement import nearness

DATABASE = (
    Path(__file__).parents[3]
    / "orchestrator/assets/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"
)
PROXIES = parse_networks(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


@pytest.fixture(scope="module")
def geo() -> Geo:
    assert DATABASE.exists(), "the country database is missing: run `make build`"
    return Geo(DATABASE)


@pytest.mark.parametrize(
    ("address", "country", "region"),
    [
        ("193.99.144.80", "DE", "eu-central-1"),
        ("128.112.128.15", "US", "us-east-2"),
        ("133.11.0.1", "JP", "ap-northeast-1"),
        ("200.147.3.157", "BR", "sa-east-1"),
        ("2001:638::1", "DE", "eu-central-1"),
    ],
)
def test_addresses_are_placed_in_their_country(geo: Geo, address: str, country: str, region: str) -> None:
    place = geo.place(ipaddress.ip_address(address))
    assert place is not None
    assert place.country == country
    near, far = region_place(region), region_place("ap-southeast-2")
    assert nearness(place, near) > nearness(place, far)


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.5", "::1", "fe80::1", "0.0.0.0"])
def test_private_addresses_have_no_place(geo: Geo, address: str) -> None:
    assert geo.place(ipaddress.ip_address(address)) is None


def test_without_a_database_nobody_has_a_place() -> None:
    assert Geo().place(ipaddress.ip_address("193.99.144.80")) is None


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"not a database")
    for path in (broken, tmp_path / "missing.mmdb"):
        with pytest.raises(ValueError, match=path.name):
            Geo(path)


def test_a_peer_that_is_no_proxy_speaks_for_itself_only() -> None:
    told = {"X-Forwarded-For": "1.2.3.4"}
    assert str(client_address("203.0.113.9", told, PROXIES)) == "203.0.113.9"
    assert str(client_address("10.1.1.1", told, ())) == "10.1.1.1"


def test_a_trusted_proxy_is_believed_about_its_client() -> None:
    assert str(client_address("10.1.1.1", {"X-Forwarded-For": "198.51.100.7"}, PROXIES)) == "198.51.100.7"
    assert (
        str(client_address("::ffff:10.1.1.1", {"X-Forwarded-For": "198.51.100.7"}, PROXIES)) == "198.51.100.7"
    )


def test_what_the_client_itself_wrote_is_not_believed() -> None:
    forged = {"X-Forwarded-For": "8.8.8.8, 198.51.100.7, 10.2.2.2"}
    assert str(client_address("10.1.1.1", forged, PROXIES)) == "198.51.100.7"


@pytest.mark.parametrize("told", ["", "garbage", "1.2.3.4, garbage", ",,,", "unknown"])
def test_a_broken_header_leaves_the_last_address_that_is_known(told: str) -> None:
    assert str(client_address("10.1.1.1", {"X-Forwarded-For": told}, PROXIES)) == "10.1.1.1"


def test_ports_and_brackets_in_the_header_are_read() -> None:
    assert (
        str(client_address("10.1.1.1", {"X-Forwarded-For": "198.51.100.7:4711"}, PROXIES)) == "198.51.100.7"
    )
    assert (
        str(client_address("10.1.1.1", {"X-Forwarded-For": '"[2001:db8::1]:80"'}, PROXIES)) == "2001:db8::1"
    )


def test_a_header_of_thousands_of_hops_costs_no_more_than_32() -> None:
    flood = ", ".join(["9.9.9.9"] + ["10.0.0.1"] * 5000)
    assert str(client_address("10.1.1.1", {"X-Forwarded-For": flood}, PROXIES)) == "10.0.0.1"


@pytest.mark.parametrize("text", ["10.0.0.0/99", "proxy.example", "10.0.0"])
def test_a_network_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="TRUSTED_PROXIES"):
        parse_networks([text])


def test_regions_are_known_by_name_or_by_their_coordinates() -> None:
    assert region_place("eu-west-1") is not None
    assert region_place("48.2,16.4") == Place(48.2, 16.4)
    for text in ("local", "", "91,0", "1,2,3", "nan,nan"):
        assert region_place(text) is None


def test_every_country_lies_on_the_globe() -> None:
    for code in ("US", "de", "SG", "AQ", "XK", "VA"):
        place = country_place(code)
        assert place is not None
        assert abs(place.latitude) <= 90
        assert abs(place.longitude) <= 180
    assert country_place("ZZ") is None
