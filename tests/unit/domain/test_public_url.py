"""The address this server is called by."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.public_url import is_every_address, listening_url, read_public_url


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://jobyard.example.com", "https://jobyard.example.com"),
        ("https://jobyard.example.com/", "https://jobyard.example.com"),
        ("HTTPS://Jobyard.Example.com:8443", "https://jobyard.example.com:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://build_box", "http://build_box"),
        ("http://10.0.0.7:80", "http://10.0.0.7:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_spelling(given: str, meant: str) -> None:
    assert read_public_url(given) == meant


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("http://0.0.0.0:8080", "an address to listen at, not one to call"),
        ("http://[::]:8080", "an address to listen at, not one to call"),
        ("http://[0:0::0]", "an address to listen at, not one to call"),
        ("http://[::ffff:0.0.0.0]", "an address to listen at, not one to call"),
        ("http://255.255.255.255", "an address to listen at, not one to call"),
        ("http://224.0.0.1", "an address to listen at, not one to call"),
        ("http://0", "a host name or an IP address"),
        ("http://0x0", "a host name or an IP address"),
        ("http://0.0", "a host name or an IP address"),
        ("http://010.0.0.1", "a host name or an IP address"),
        ("http://256.1.1.1", "a host name or an IP address"),
        ("http://-", "a host name or an IP address"),
        ("http://a..b", "a host name or an IP address"),
        ("http://a,b", "a host name or an IP address"),
        ("http://", "a host name or an IP address"),
        ("http://:8080", "a host name or an IP address"),
        ("http://[fe80::1%eth0]", "a host name or an IP address"),
        ("http://example.com:0", "a port from 1 to 65535"),
        ("http://example.com:", "a port from 1 to 65535"),
        ("http://example.com:65536", "a port that can't be read"),
        ("http://example.com:http", "a port that can't be read"),
        ("http://[::1", "a port that can't be read"),
        ("example.com", "must begin with http:// or https://"),
        ("example.com:8080", "must begin with http:// or https://"),
        ("//example.com", "must begin with http:// or https://"),
        ("ftp://example.com", "must begin with http:// or https://"),
        ("https://example.com/jobyard", "no path"),
        ("https://example.com/?x=1", "no path"),
        ("https://example.com?", "no path"),
        ("https://example.com/#", "no path"),
        ("https://ada:secret@example.com", "no path, question, or user"),
        ("https://exam ple.com", "plain ASCII"),
        ("https://example.com\n", "plain ASCII"),
        ("https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "plain ASCII"),
    ],
)
def test_an_address_that_can_not_be_meant_is_refused(given: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_public_url(given)


@given(st.text(max_size=30).map(lambda text: f"http://{text}") | st.text(max_size=40))
def test_what_is_taken_has_scheme_and_host_and_nothing_else(text: str) -> None:
    try:
        taken = read_public_url(text)
    except ValueError:
        return
    parts = urlsplit(taken)
    assert parts.hostname
    assert taken == f"{parts.scheme}://{parts.netloc}" == read_public_url(taken)
    assert not is_every_address(parts.hostname)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("localhost", "http://localhost:8080"),
        ("::1", "http://[::1]:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("0::0", "http://[::1]:8080"),
    ],
)
def test_a_server_that_listens_everywhere_is_called_on_its_own_machine(host: str, url: str) -> None:
    assert listening_url(host, 8080) == url == read_public_url(url)
