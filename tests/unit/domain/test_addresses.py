"""Link-local addresses, in whatever form, are nobody's server."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.addresses import is_refused

METADATA = "169.254.169.254"


@pytest.mark.parametrize(
    "address",
    [
        METADATA,
        "169.254.0.1",
        "fe80::1",
        "febf::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        f"::ffff:{METADATA}",
        f"64:ff9b::{METADATA}",
        "2002:a9fe:a9fe::1",
    ],
)
def test_link_local_addresses_are_refused(address: str) -> None:
    assert is_refused(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.0.1", "140.82.112.3", "::1", "fd12::1"],
)
def test_private_and_public_addresses_are_not(address: str) -> None:
    assert not is_refused(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_the_same_in_every_form(address: IPv4Address) -> None:
    for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert is_refused(IPv6Address(form)) is is_refused(address)
