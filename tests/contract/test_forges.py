"""What every forge must do, held against recorded and modelled deliveries."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.events import Push, RepositoryRef
from app.forges.base import BadPayload, Forge
from app.forges.github import GitHub
from tests.support.payloads import ZERO, encode, push_headers, push_payload, sign
from tests.support.repositories import Repository

FIXTURES = Path(__file__).parent.parent / "fixtures" / "github"
SCHEMA = json.loads((FIXTURES / "push.schema.json").read_text())
OTHERS = {"ping", "pull_request", "push.schema"}
PUSHES = sorted(path.stem for path in FIXTURES.glob("*.json") if path.stem not in OTHERS)
OURS = [name for name in PUSHES if name not in {"branch_created", "tag_created", "tag_deleted"}]

SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNATURE = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
HEADER = b"x-hub-signature-256"

GITHUB: Forge = GitHub()


def load(name: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    return payload


def parse(name: str) -> Push:
    return GITHUB.parse_push(load(name))


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


# signature


def test_the_documented_vector_verifies() -> None:
    assert GITHUB.verify(SECRET, BODY, [(HEADER, SIGNATURE)])
    assert sign(SECRET, BODY).encode() == SIGNATURE


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(HEADER, SIGNATURE), (HEADER, SIGNATURE)],
        [(HEADER, SIGNATURE), (b"X-Hub-Signature-256", b"sha256=" + b"0" * 64)],
        [(b"x-hub-signature", b"sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")],
        [(HEADER, b"sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")],
        [(HEADER, SIGNATURE.upper())],
        [(HEADER, b"sha256=" + SIGNATURE[7:].upper())],
        [(HEADER, SIGNATURE[7:])],
        [(HEADER, b" " + SIGNATURE)],
        [(HEADER, SIGNATURE + b"\n")],
        [(HEADER, SIGNATURE + b"," + SIGNATURE)],
        [(HEADER, SIGNATURE[:-1])],
        [(HEADER, SIGNATURE + b"0")],
        [(HEADER, b"sha512=" + SIGNATURE[7:])],
        [(HEADER, b"sha256=")],
        [(HEADER, b"")],
        [(HEADER, "sha256=\u0660\u0661".encode() * 32)],
        [(HEADER, b"\xff\xfe" + SIGNATURE)],
    ],
)
def test_anything_but_one_exact_signature_fails(headers: list[tuple[bytes, bytes]]) -> None:
    assert GITHUB.verify(SECRET, BODY, headers) is False


def test_an_empty_secret_verifies_nothing() -> None:
    assert not GITHUB.verify(b"", BODY, [(HEADER, sign(b"", BODY).encode())])


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf{}", b"{}\r\n", b'{"a": 1}'])
def test_only_the_raw_bytes_verify(body: bytes) -> None:
    headers = [(HEADER, sign(SECRET, body).encode())]
    assert GITHUB.verify(SECRET, body, headers)
    assert not GITHUB.verify(
        SECRET, body.removeprefix(b"\xef\xbb\xbf").strip().replace(b" ", b"") + b" ", headers
    )


@given(body=st.binary(min_size=1, max_size=400), secret=st.binary(min_size=1, max_size=80), data=st.data())
def test_any_flipped_bit_fails(body: bytes, secret: bytes, data: st.DataObject) -> None:
    signature = sign(secret, body).encode()
    assert GITHUB.verify(secret, body, [(HEADER, signature)])
    spoiled_body = _flip(body, data.draw(st.integers(0, 8 * len(body) - 1)))
    spoiled_signature = _flip(signature, data.draw(st.integers(0, 8 * len(signature) - 1)))
    assert not GITHUB.verify(secret, spoiled_body, [(HEADER, signature)])
    assert not GITHUB.verify(secret, body, [(HEADER, spoiled_signature)])


@given(st.lists(st.tuples(st.sampled_from([HEADER, b"x-github-event", b"x-github-delivery"]), st.binary())))
def test_headers_of_any_bytes_raise_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    assert not GITHUB.verify(SECRET, BODY, headers)
    for value in (GITHUB.event_kind(headers), GITHUB.delivery_id(headers)):
        assert value is None or value.isascii()


def test_kind_and_delivery_are_read_from_the_headers() -> None:
    delivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    headers = raw(push_headers(SECRET, BODY, delivery))
    assert (GITHUB.event_kind(headers), GITHUB.delivery_id(headers)) == ("push", delivery)
    assert GITHUB.verify(SECRET, BODY, headers)
    assert (GITHUB.event_kind([]), GITHUB.delivery_id([])) == (None, None)
    assert GITHUB.delivery_id([(b"x-github-delivery", b"a'; drop table\n")]) is None


# payloads


@pytest.mark.parametrize("name", OURS)
def test_our_payloads_are_of_the_documented_shape(name: str) -> None:
    jsonschema.validate(load(name), SCHEMA)


@pytest.mark.parametrize("name", PUSHES)
def test_every_payload_parses(name: str) -> None:
    push, payload = parse(name), load(name)
    assert push.forge == "github"
    assert push.repository.full_name == payload["repository"]["full_name"]
    assert push.repository.urls[0] == payload["repository"]["clone_url"]
    assert (push.ref, push.created, push.deleted, push.forced) == tuple(
        payload[key] for key in ("ref", "created", "deleted", "forced")
    )
    assert (push.before or ZERO, push.after or ZERO) == (payload["before"], payload["after"])
    assert [commit.sha for commit in push.commits] == [commit["id"] for commit in payload["commits"]]


def test_an_update_is_read() -> None:
    push = parse("update")
    assert (push.branch, push.is_tag) == ("main", False)
    assert push.changed_files is None  # Git is asked
    assert push.head_message == "Greet again"
    assert push.pusher == "ada"
    assert push.commits[0].author == "Ada Example"


def test_an_earlier_commits_message_is_there() -> None:
    push = parse("skip_ci_in_earlier_commit")
    assert "[skip ci]" in push.commits[0].message
    assert "[skip ci]" not in push.head_message


def test_deletions_and_tags() -> None:
    deleted, tag = parse("branch_deleted"), parse("tag_annotated")
    assert deleted.after is None
    assert deleted.branch == "feature/größe"
    assert deleted.head_message == ""
    assert (tag.branch, tag.is_tag, tag.before) == (None, True, None)


def test_text_that_no_database_holds_is_mended() -> None:
    payload = load("update")
    payload["commits"][0]["message"] = payload["head_commit"]["message"] = "a\ud800b\0c"
    push = GITHUB.parse_push(payload)
    assert push.head_message == push.commits[0].message == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("ref",), None, "ref"),
        (("ref",), "main", "ref"),
        (("ref",), "refs/heads/a\nb", "ref"),
        (("ref",), "refs/heads/\ud800", "ref"),
        (("after",), "--upload-pack=x", "after"),
        (("after",), "a" * 39, "after"),
        (("before",), 7, "before"),
        (("deleted",), 1, "deleted"),
        (("created",), "false", "created"),
        (("forced",), None, "forced"),
        (("commits",), None, "commits"),
        (("commits",), {}, "commits"),
        (("commits", 0), "x", "commits.0"),
        (("commits", 0, "id"), "A" * 40, "commits.0.id"),
        (("commits", 0, "message"), 1e400, "commits.0.message"),
        (("commits", 0, "author"), None, "commits.0.author"),
        (("head_commit",), [], "head_commit"),
        (("repository",), None, "repository"),
        (("repository", "full_name"), 10**400, "repository.full_name"),
        (("repository", "clone_url"), ["x"], "repository.clone_url"),
        (("pusher",), None, "pusher"),
        (("pusher", "name"), None, "pusher.name"),
        (("compare",), None, "compare"),
    ],
)
def test_a_bad_field_is_named(path: tuple[Any, ...], value: object, field: str) -> None:
    payload: Any = load("update")
    parent = payload
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    with pytest.raises(BadPayload) as caught:
        GITHUB.parse_push(payload)
    assert caught.value.field == field
    assert field in str(caught.value)


def test_a_push_by_hand_says_only_what_decides() -> None:
    whole: Any = load("update")
    only = {name: whole[name] for name in ("ref", "before", "after", "repository")}
    push = GITHUB.parse_push(only)
    assert (push.ref, push.before, push.after) == (whole["ref"], whole["before"], whole["after"])
    assert (push.created, push.deleted, push.forced, push.commits, push.pusher) == (
        False,
        False,
        False,
        (),
        "",
    )
    assert push.changed_files is None  # Git is asked
    only["commits"] = [{"id": whole["after"], "message": "by hand"}]
    assert [commit.message for commit in GITHUB.parse_push(only).commits] == ["by hand"]
    no_object = "0" * 40
    assert GITHUB.parse_push({**only, "before": no_object}).created
    assert GITHUB.parse_push({**only, "after": no_object}).deleted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_push_or_a_bad_payload(value: object) -> None:
    _is_total(value)


@settings(max_examples=300)
@given(name=st.sampled_from(PUSHES), seed=st.integers(0, 2**32), value=JSON)
def test_a_real_payload_with_any_value_anywhere_is_a_push_or_a_bad_payload(
    name: str, seed: int, value: object
) -> None:
    payload = load(name)
    parent, key = random.Random(seed).choice(list(_places(payload)))
    parent[key] = value
    _is_total(payload)


def test_thousands_of_spoilt_payloads_stay_total() -> None:
    dice = random.Random(20260101)
    wrong = [
        None,
        True,
        0,
        -1,
        1e308,
        "",
        "\ud83d",
        "x" * 5000,
        [],
        {},
        [[]],
        {"id": {}},
        ZERO,
        "refs/heads/" + "é" * 9,
    ]
    originals = [load(name) for name in PUSHES]
    for _ in range(2000):
        payload = copy.deepcopy(dice.choice(originals))
        for _ in range(dice.randint(1, 3)):
            parent, key = dice.choice(list(_places(payload)))
            if isinstance(parent, dict) and dice.random() < 0.3:
                del parent[key]
            else:
                parent[key] = dice.choice(wrong)
        _is_total(payload)


@pytest.mark.timeout(60)  # it takes one or two
def test_a_payload_of_25_mebibytes_is_quick() -> None:
    payload = load("update")
    payload["commits"] = [
        payload["commits"][0] | {"added": [f"folder/{number:06}.txt" for number in range(500)]}
        for _ in range(2000)
    ]
    body = encode(payload)
    assert len(body) > 20_000_000
    assert len(GITHUB.parse_push(payload).commits) == 2000
    assert GITHUB.verify(SECRET, body, [(HEADER, sign(SECRET, body).encode())])


def test_any_event_names_its_repository() -> None:
    found = GITHUB.repository_of(load("ping"))
    assert found.full_name == "Octocoders/Hello-World"
    assert found.keys == {"github.com/octocoders/hello-world"}


# the builder of payloads that end-to-end tests send


def test_built_payloads_tell_the_truth(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.txt": "1", "b.txt": "1"}, "One")
    second = repository.commit({"a.txt": "2", "ünïcode name.txt": "1"}, "Two")
    third = repository.commit({"b.txt": None}, "Three [skip ci]")
    payload = push_payload(repository.path, before=first, after=third)
    jsonschema.validate(payload, SCHEMA)
    push = GITHUB.parse_push(json.loads(encode(payload)))
    assert [commit.sha for commit in push.commits] == [second, third]
    assert push.repository == RepositoryRef(
        "acme/report",
        (
            repository.url,
            "https://github.com/acme/report",
            "git@github.com:acme/report.git",
            "git://github.com/acme/report.git",
        ),
    )
    assert not push.forced
    assert GITHUB.parse_push(push_payload(repository.path, before=third, after=second)).forced
    assert GITHUB.parse_push(push_payload(repository.path, before=third, after=None)).deleted


def _is_total(value: object) -> None:
    """A push or `BadPayload`, and text that can be stored either way."""
    try:
        push = GITHUB.parse_push(value)
    except BadPayload as error:
        texts = [error.field, str(error)]
    else:
        texts = [push.ref, push.head_message, push.pusher, *push.repository.urls]
    "".join(texts).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in a JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _flip(data: bytes, bit: int) -> bytes:
    spoiled = bytearray(data)
    spoiled[bit // 8] ^= 1 << bit % 8
    return bytes(spoiled)


# what a body seems to be about


@pytest.mark.parametrize("name", [*PUSHES, "ping", "pull_request"])
@pytest.mark.parametrize("as_form", [False, True])
def test_the_repository_is_found_before_anything_is_verified(name: str, as_form: bool) -> None:
    payload = load(name)
    body = json.dumps(payload, indent=1).encode()
    if as_form:
        body = urlencode({"payload": json.dumps(payload)}).encode()
    assert GITHUB.repository_of(payload) in list(GITHUB.repositories_in(body))


@pytest.mark.parametrize("size", [0, 500_000, 524_280, 2_000_000])
def test_the_repository_is_found_wherever_it_stands(size: int) -> None:
    repository = {"full_name": "acme/report", "clone_url": "https://github.com/acme/report"}
    for payload in (
        {"x": "a" * size, "repository": repository},
        {"repository": repository, "x": "a" * size},
        {"note": 'the "repository": {}', "x": "a" * size, "repository": repository, "y": "a" * size},
    ):
        assert [each.full_name for each in GITHUB.repositories_in(encode(payload))] == ["acme/report"]


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: b'{"repository":' + text.encode()))
def test_any_bytes_may_be_looked_at(body: bytes) -> None:
    list(GITHUB.repositories_in(body))


@pytest.mark.timeout(60)  # it takes no second, and hours where each begins another search to the end
def test_deep_and_repeated_objects_cost_little() -> None:
    for body in (b'{"repository":' * 100_000, b'{"repository":{"a":' + b"[" * 1_000_000):
        assert not list(GITHUB.repositories_in(body))
