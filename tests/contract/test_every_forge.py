"""What every forge promises, held against recorded deliveries of each."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.events import PUSH, Push
from app.forges.base import BadPayload, announces
from app.forges.bitbucket import CHANGES
from tests.support.any_json import JSON, places
from tests.support.senders import FORGES, SENDERS, Sender, digest

SECRET = b"It's a Secret to Everybody"
NAMES = sorted(SENDERS)
RECORDED = [(name, push) for name in NAMES for push in SENDERS[name].pushes]


@pytest.fixture(params=NAMES)
def sender(request: pytest.FixtureRequest) -> Sender:
    return SENDERS[request.param]


def body_of(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode()


def parse(sender: Sender, name: str) -> Push:
    return sender.forge.parse_push(sender.load(name))


# the proof that a call is the forge's


def test_a_call_with_the_secret_verifies_and_with_no_other(sender: Sender) -> None:
    body = body_of(sender.load("update"))
    headers = sender.raw(SECRET, body)
    assert sender.forge.verify(SECRET, body, headers)
    for other in (b"", SECRET[:-1], SECRET + b" ", SECRET.upper()):
        assert not sender.forge.verify(other, body, headers)
        assert not sender.forge.verify(SECRET, body, sender.raw(other, body))


def test_a_body_that_was_changed_does_not_verify_where_it_is_signed(sender: Sender) -> None:
    body = body_of(sender.load("update"))
    headers = sender.raw(SECRET, body)
    assert sender.forge.verify(SECRET, body + b" ", headers) is not sender.signs


def test_without_proof_or_with_two_nothing_verifies(sender: Sender) -> None:
    body = body_of(sender.load("update"))
    proof = sender.proof.lower().encode()
    whole = sender.raw(SECRET, body)
    without = [(name, value) for name, value in whole if not _proves(name)]
    kept = [(name, value) for name, value in whole if name == proof]
    assert not sender.forge.verify(SECRET, body, without)
    assert sender.forge.verify(SECRET, body, [*without, *kept])
    assert not sender.forge.verify(SECRET, body, [*without, *kept, *kept])
    for spoilt in (b"", b" " + kept[0][1], kept[0][1] + b"\n", kept[0][1][:-1], b"\xff" + kept[0][1]):
        assert not sender.forge.verify(SECRET, body, [*without, (proof, spoilt)])


def _proves(name: bytes) -> bool:
    return b"signature" in name or b"token" in name


def test_an_empty_secret_proves_nothing(sender: Sender) -> None:
    body = body_of(sender.load("update"))
    assert not sender.forge.verify(b"", body, sender.raw(b"", body))


# headers


def test_events_and_ids_are_read_from_the_headers(sender: Sender) -> None:
    guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    for name in sender.pushes:
        headers = sender.raw(SECRET, body_of(sender.load(name)), guid)
        assert (sender.forge.event_kind(headers), sender.forge.delivery_id(headers)) == (PUSH, guid)
    other = sender.raw(SECRET, b"{}", guid, sender.other)
    assert sender.forge.event_kind(other) == sender.other
    assert (sender.forge.event_kind([]), sender.forge.delivery_id([])) == (None, None)
    assert announces(sender.forge, other)
    assert not announces(sender.forge, [])


@given(data=st.data())
def test_headers_of_any_bytes_raise_nothing(data: st.DataObject) -> None:
    sender = SENDERS[data.draw(st.sampled_from(NAMES))]
    known = [name for name, _ in sender.raw(SECRET, b"{}")]
    headers = data.draw(st.lists(st.tuples(st.sampled_from(known), st.binary(max_size=200))))
    assert not sender.forge.verify(SECRET, b"{}", headers)
    for value in (sender.forge.event_kind(headers), sender.forge.delivery_id(headers)):
        assert value is None or value.isascii()


# payloads


@pytest.mark.parametrize(("name", "push"), RECORDED)
def test_every_recorded_push_parses(name: str, push: str) -> None:
    sender = SENDERS[name]
    parsed = parse(sender, push)
    assert parsed.forge == sender.forge.name
    assert parsed.repository == sender.forge.repository_of(sender.load(push))
    assert parsed.created is (parsed.before is None)
    assert parsed.deleted is (parsed.after is None)
    assert parsed.changed_files is None  # Git is asked
    assert len({key for key in parsed.repository.keys if "/" in key}) >= 1


def test_an_update_is_read(sender: Sender) -> None:
    push = parse(sender, "update")
    assert (push.branch, push.is_tag, push.forced) == ("main", False, False)
    assert push.before
    assert push.after == push.commit
    assert push.pusher == "ada"
    if sender.name != "bitbucket_server":  # it tells of no commits
        assert push.head_message.strip() == "Greet again"
        assert [commit.sha for commit in push.commits] == [push.after]
        assert push.commits[0].author == "Ada Example"


def test_what_is_deleted_and_what_is_tagged_is_told_apart(sender: Sender) -> None:
    deleted = parse(sender, "branch_deleted")
    assert (deleted.after, deleted.commit, deleted.branch) == (None, None, "feature/größe")
    tag = parse(sender, "tag_created")
    assert (tag.is_tag, tag.branch, tag.before) == (True, None, None)
    assert tag.commit
    gone = parse(sender, "tag_deleted")
    assert (gone.is_tag, gone.after) == (True, None)


@pytest.mark.parametrize("name", ["gitlab", "gitea"])
def test_the_commit_of_an_annotated_tag_is_not_its_object(name: str) -> None:
    tag, update = parse(SENDERS[name], "tag_created"), parse(SENDERS[name], "update")
    assert tag.after != tag.commit == update.after


def test_what_a_real_gitea_sent_is_read() -> None:
    sender = SENDERS["gitea"]
    update, tag = parse(sender, "recorded_update"), parse(sender, "recorded_tag_created")
    assert (update.branch, update.head_message.strip(), update.pusher) == ("main", "Greet again", "acme")
    assert tag.after != tag.commit == update.after
    assert parse(sender, "recorded_tag_deleted").deleted
    assert parse(sender, "recorded_branch_created").created


@pytest.mark.parametrize("name", ["github", "gitlab", "gitea", "bitbucket"])
def test_commits_are_told_oldest_first_and_a_cut_list_is_no_whole_one(name: str) -> None:
    sender = SENDERS[name]
    flagged = parse(sender, "skip_ci_in_earlier_commit")
    assert "[skip ci]" in flagged.commits[0].message
    assert "[skip ci]" not in flagged.head_message
    cut = parse(sender, "truncated")
    assert cut.commits
    assert cut.before != cut.commits[0].sha


@pytest.mark.parametrize("name", ["github", "bitbucket"])
def test_a_forced_push_is_known_where_the_forge_says_so(name: str) -> None:
    assert parse(SENDERS[name], "forced").forced


@pytest.mark.parametrize("name", ["bitbucket", "bitbucket_server"])
def test_each_ref_of_a_delivery_is_a_push_of_its_own(name: str) -> None:
    sender = SENDERS[name]
    parts = sender.forge.parts(sender.load("several_refs"))
    pushes = [sender.forge.parse_push(part) for part in parts]
    assert [push.ref for push in pushes][:2] == ["refs/heads/main", "refs/tags/v1.2"]
    assert len({push.ref for push in pushes}) == len(pushes) >= 2
    assert {push.repository for push in pushes} == {parse(sender, "update").repository}


def test_one_ref_is_the_payload_itself(sender: Sender) -> None:
    payload = sender.load("update")
    (part,) = sender.forge.parts(payload)
    assert part is payload


@pytest.mark.parametrize("changes", [[], [{}] * (CHANGES + 1)])
@pytest.mark.parametrize("name", ["bitbucket", "bitbucket_server"])
def test_no_changes_and_too_many_are_refused(name: str, changes: list[object]) -> None:
    payload = SENDERS[name].load("update")
    payload |= {"push": {"changes": changes}} if "push" in payload else {"changes": changes}
    with pytest.raises(BadPayload, match=r"changes must have 1 to 100 changes\."):
        SENDERS[name].forge.parts(payload)


# payloads of any shape


@given(value=JSON, name=st.sampled_from(NAMES))
def test_any_json_is_a_push_or_a_bad_payload(value: object, name: str) -> None:
    _is_total(SENDERS[name], value)


@settings(max_examples=500)
@given(recorded=st.sampled_from(RECORDED), seed=st.integers(0, 2**32), value=JSON)
def test_a_real_payload_with_any_value_anywhere_is_a_push_or_a_bad_payload(
    recorded: tuple[str, str], seed: int, value: object
) -> None:
    sender = SENDERS[recorded[0]]
    payload = sender.load(recorded[1])
    dice = random.Random(seed)
    for _ in range(2):
        parent, key = dice.choice(list(places(payload)))
        if isinstance(parent, dict) and dice.random() < 0.3:
            del parent[key]
        else:
            parent[key] = value
    _is_total(sender, payload)


def _is_total(sender: Sender, value: object) -> None:
    """A push or `BadPayload`, and text that can be stored either way."""
    try:
        for part in sender.forge.parts(value):
            push = sender.forge.parse_push(part)
            texts = [push.ref, push.head_message, push.pusher, push.compare_url, *push.repository.urls]
            "".join(texts).encode()
    except BadPayload as error:
        f"{error.field} {error}".encode()


# what a body seems to be about


@pytest.mark.parametrize(("name", "push"), RECORDED)
def test_the_repository_is_found_before_anything_is_verified(name: str, push: str) -> None:
    sender = SENDERS[name]
    payload = sender.load(push)
    found = list(sender.forge.repositories_in(body_of(payload)))
    assert sender.forge.repository_of(payload) in found


@given(body=st.binary(max_size=300), name=st.sampled_from(sorted(FORGES)))
def test_any_bytes_may_be_looked_at(body: bytes, name: str) -> None:
    list(FORGES[name].repositories_in(body))


def test_what_gitea_signs_of_a_form_is_the_json_in_it() -> None:
    from urllib.parse import urlencode

    forge, told = FORGES["gitea"], body_of(SENDERS["gitea"].load("update"))
    form = urlencode({"payload": told.decode()}).encode()
    header = (b"x-gitea-signature", digest(SECRET, told).encode())
    assert forge.verify(SECRET, form, [header])
    assert not forge.verify(SECRET, form + b"x", [header])
    assert not forge.verify(SECRET, b"payload=%FF", [header])
