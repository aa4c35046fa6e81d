"""Which image references mean an image of ours, however they are written, and who may use it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.addresses import is_refused, literal
from app.domain.hosts import is_refused_host, may_be_sent, same_registry
from app.domain.references import Meaning, Means, Ours, may_use, meaning_of, own_names_in

OURS = Ours("jobyard-0123456789ab", "registry.example.com:5000/team")
DIGEST = "sha256:" + "d" * 64
HEX = st.text("0123456789abcdef", min_size=1, max_size=64)
LOCAL = st.sampled_from(
    (
        "",
        "library/",
        "docker.io/",
        "docker.io/library/",
        "index.docker.io/library/",
        "localhost/",
        "DOCKER.io/",
    )
)


@pytest.mark.parametrize(
    ("reference", "means", "value"),
    [
        ("jobyard-0123456789ab:build-7", Means.BUILD, "7"),
        ("jobyard-0123456789ab:build-7-0a1b", Means.BUILD, "7"),
        ("jobyard-0123456789ab:latest", Means.BUILD, ""),
        (f"jobyard-0123456789ab:build-7@{DIGEST}", Means.BUILD, ""),
        ("jobyard-ba9876543210:build-7", Means.BUILD, ""),
        ("jobyard-0123456789ab-0a1b2c3d:build-7", Means.BUILD, ""),
        (DIGEST, Means.ID, DIGEST),
        ("d" * 64, Means.ID, DIGEST),
        ("4bcff63911fc", Means.PART_OF_ID, "4bcff63911fc"),
        ("sha256:4bcf", Means.PART_OF_ID, "sha256:4bcf"),
        ("registry.example.com:5000/team/acme/report:1", Means.PROJECT, "acme"),
        ("Registry.Example.com.:5000/team/acme/report", Means.PROJECT, "acme"),
        (f"quay.io/a/b@{DIGEST}", Means.DIGEST, DIGEST),
    ],
)
def test_what_a_reference_means(reference: str, means: Means, value: str) -> None:
    assert meaning_of(reference, OURS) == Meaning(means, value)


@pytest.mark.parametrize(
    "reference",
    [
        "busybox",
        "defaced:1",
        "python:3.13-slim",
        "jobyard-stand-in/node:22",
        "eco-jobyard:test",
        "registry.example.com/team/acme/report:1",
        "registry.example.com:5000/team/base:1",
        "registry.example.com:5000/teams/acme/report:1",
        "quay.io/jobyard-0123456789ab:build-7",
    ],
)
def test_names_of_others_mean_nothing_of_ours(reference: str) -> None:
    assert meaning_of(reference, OURS) is None


@given(LOCAL, st.integers(1, 10**12), HEX)
def test_a_name_of_ours_is_known_however_it_is_written(prefix: str, build: int, secret: str) -> None:
    reference = f"{prefix}jobyard-0123456789ab:build-{build}-{secret}"
    assert meaning_of(reference, OURS) == Meaning(Means.BUILD, str(build))
    (found,) = own_names_in(f"# {reference}, and more")
    assert meaning_of(found, OURS) == Meaning(Means.BUILD, str(build))


@given(st.text("abcdef0123456789:@/.-_", max_size=90))
def test_every_text_has_a_meaning_or_none(reference: str) -> None:
    meaning = meaning_of(reference, OURS)
    assert meaning is None or isinstance(may_use(meaning, 1, frozenset()), bool)


@pytest.mark.parametrize(
    ("means", "own", "nobodys", "anothers"),
    [
        (Means.ID, True, False, False),
        (Means.BUILD, True, False, False),
        (Means.PROJECT, True, True, False),
        (Means.DIGEST, True, True, False),
        (Means.PART_OF_ID, False, False, False),
    ],
)
def test_who_may_use_it(means: Means, own: bool, nobodys: bool, anothers: bool) -> None:
    owners = (frozenset({1, 2}), frozenset[int](), frozenset({2}))
    assert tuple(may_use(Meaning(means, "x"), 1, each) for each in owners) == (own, nobodys, anothers)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docker.io", "index.docker.io"),
        ("localhost:5000", "127.0.0.1:5000"),
        ("0x7f000001:5000", "[::1]:5000"),
        ("Registry.example.com.:443", "registry.example.com"),
    ],
)
def test_one_server_by_two_names(one: str, other: str) -> None:
    assert same_registry(one, other)
    assert not same_registry(one, "other.example.com")


@given(st.integers(0, 2**16 - 1), st.sampled_from(("dec", "hex", "octal", "dotted", "short", "mapped")))
def test_link_local_addresses_are_refused_in_every_form(host: int, form: str) -> None:
    number = 0xA9FE0000 + host
    parts = [number >> shift & 0xFF for shift in (24, 16, 8, 0)]
    text = {
        "dec": str(number),
        "hex": hex(number),
        "octal": f"0{number:o}",
        "dotted": ".".join(map(hex, parts)),
        "short": f"{parts[0]}.{parts[1]}.{host}",
        "mapped": f"[::ffff:{'.'.join(map(str, parts))}]",
    }[form]
    address = literal(text)
    assert address is not None
    assert is_refused(address)
    assert is_refused_host(f"{text}:5000")
    assert is_refused_host(text)


@pytest.mark.parametrize(
    "host", ["example.com", "10.0.0.1", "127.0.0.1:5000", "[::1]:5000", "1.2.3.4.5", "0x"]
)
def test_other_hosts_are_not(host: str) -> None:
    assert not is_refused_host(host)


def test_a_credential_without_a_host_is_for_none() -> None:
    assert not may_be_sent("", "github.com")
    assert not may_be_sent("", "")
    assert may_be_sent("GitHub.com", "github.com:8443")
