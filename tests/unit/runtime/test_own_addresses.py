"""Which addresses are this machine's."""

from __future__ import annotations

from ipaddress import ip_address

from app.runtime.own_addresses import is_own


def test_an_address_is_own_if_one_can_listen_there() -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("203.0.113.77"))
    assert not is_own(ip_address("2001:db8::77"))
