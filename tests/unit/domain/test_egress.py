"""What containers may reach, as it is set."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.domain.addresses import REFUSED, is_refused
from app.domain.egress import PRIVATE, USUAL, Egress, Reach, read_reach


def test_a_list_of_what_may_be_reached_is_read() -> None:
    assert read_reach("internet,private") == USUAL == Egress().reach
    assert read_reach(" host , internet ") == {Reach.HOST, Reach.INTERNET}
    assert read_reach("none") == frozenset()


@pytest.mark.parametrize(("text", "word"), [("", "''"), ("internet,lan", "'lan'"), ("none,host", "'none'")])
def test_what_is_no_such_list_is_refused_by_name(text: str, word: str) -> None:
    with pytest.raises(ValueError, match="takes internet, private and host") as refused:
        read_reach(text)
    assert (
        str(refused.value)
        == f"takes internet, private and host, separated by commas, or none alone, not {word}"
    )


def test_it_is_said_in_one_order() -> None:
    assert str(Egress(read_reach("host,internet"))) == "internet, host"
    assert str(Egress(frozenset())) == "none"


def test_every_address_of_a_refused_network_is_refused() -> None:
    for network in REFUSED:
        assert is_refused(network[0])
        assert is_refused(network[-1])
    assert not any(is_refused(each[1]) for each in PRIVATE)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "fd20:ce::254",
        "fe80::1",
    ],
)
def test_metadata_services_are_refused_in_every_form(address: str) -> None:
    assert is_refused(ip_address(address))
