"""No Git server is at a link-local address, in whatever way that is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checkout.addresses import resolve, way_to
from app.checkout.failures import FetchRefused
from app.checkout.urls import TRANSPORTS, parse_remote
from app.domain.errors import GitUnavailable

METADATA = "169.254.169.254"


@pytest.mark.parametrize(
    "url",
    [
        f"https://{METADATA}/latest/meta-data",
        f"http://{METADATA}:8080/acme/report",
        "https://2852039166/acme/report",
        "https://0xa9fea9fe/acme/report",
        "https://0251.0376.0251.0376/acme/report",
        "https://169.254.43518/acme/report",
        f"https://[::ffff:{METADATA}]/acme/report",
        "https://[fe80::1]/acme/report",
        f"git@{METADATA}:acme/report.git",
        f"ssh://git@{METADATA}:2222/acme/report.git",
    ],
)
def test_a_url_of_such_an_address_is_refused(url: str) -> None:
    with pytest.raises(FetchRefused, match=r"is at the link-local address .*: use its real address\."):
        way_to(parse_remote(url, TRANSPORTS))


def test_one_such_address_among_others_is_enough() -> None:
    remote = parse_remote("https://git.example.com/acme/report", TRANSPORTS)
    with pytest.raises(FetchRefused):
        way_to(remote, lambda _host, _port: ["10.0.0.7", METADATA])


@pytest.mark.parametrize(
    ("url", "asked", "settings"),
    [
        ("https://git.example.com/a/b", ("git.example.com", 443), "git.example.com:443:10.0.0.7,[fd12::1]"),
        ("http://git.example.com:81/a/b", ("git.example.com", 81), "git.example.com:81:10.0.0.7,[fd12::1]"),
        ("ssh://git@git.example.com:23/a/b", ("git.example.com", 23), None),
        ("git@git.example.com:a/b.git", ("git.example.com", 22), None),
        ("https://[fd12::1]:8443/a/b", ("fd12::1", 8443), None),
        ("file:///srv/report", None, None),
    ],
)
def test_git_is_held_to_the_addresses_that_were_looked_at(
    url: str, asked: tuple[str, int] | None, settings: str | None
) -> None:
    questions: list[tuple[str, int]] = []

    def answer(host: str, port: int) -> list[str]:
        questions.append((host, port))
        return ["10.0.0.7", "fd12::1"]

    way = way_to(parse_remote(url, TRANSPORTS), answer)
    assert questions == ([asked] if asked else [])
    assert way == ((("http.curloptResolve", settings),) if settings else ())


def test_a_name_without_an_address_is_unavailable() -> None:
    remote = parse_remote("https://nowhere.invalid/acme/report", TRANSPORTS)
    with pytest.raises(
        GitUnavailable, match=r"could not be reached: the name nowhere\.invalid has no address"
    ):
        way_to(remote, lambda _host, _port: _nowhere())


def _nowhere() -> list[str]:
    raise OSError(-2, "Name or service not known")


@given(st.ip_addresses(v=4))
def test_numbers_mean_themselves(address: object) -> None:
    assert resolve(str(address), 443) == [str(address)]
