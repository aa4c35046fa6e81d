"""Pull requests, and merge requests, as GitHub, Gitea and GitLab tell of them."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.events import PULL_REQUEST, PullRequest
from app.domain.ref_rules import LABEL
from app.forges.base import BadPayload
from tests.support.any_json import JSON, places
from tests.support.senders import SENDERS, Sender

NAMES = ["github", "gitea", "gitlab"]


@pytest.fixture(params=NAMES)
def sender(request: pytest.FixtureRequest) -> Sender:
    return SENDERS[request.param]


def opened(sender: Sender) -> dict[str, Any]:
    return sender.load("pull_request")


def with_action(sender: Sender, action: str, **more: Any) -> dict[str, Any]:
    payload = opened(sender)
    if sender.name == "gitlab":
        payload["object_attributes"] |= {"action": action, **more}
    else:
        payload |= {"action": action, **more}
    return payload


def labelled(sender: Sender, label: str = LABEL) -> dict[str, Any]:
    if sender.name == "gitlab":
        payload = with_action(sender, "update")
        payload["changes"] = {"labels": {"previous": [{"title": "docs"}], "current": [{"title": label}]}}
        return payload
    if sender.name == "gitea":
        payload = with_action(sender, "label_updated")
        payload["pull_request"]["labels"] = [{"name": label}]
        return payload
    return with_action(sender, "labeled", label={"name": label})


def test_a_pull_request_of_a_fork_is_read(sender: Sender) -> None:
    payload = opened(sender)
    push = sender.forge.parse_pull_request(payload)
    assert push is not None
    kind = "merge-requests" if sender.name == "gitlab" else "pull"
    assert (push.ref, push.before, push.pusher) == (f"refs/{kind}/7/head", None, "eve")
    assert push.pull_request == PullRequest("main", is_fork=True)
    assert push.head_message == "Greet louder"
    assert push.repository == sender.forge.repository_of(payload)
    headers = sender.raw(b"secret", b"{}", "g1", "pull_request")
    assert sender.forge.event_kind(headers) == PULL_REQUEST


def test_one_of_the_repository_itself_is_no_fork(sender: Sender) -> None:
    payload = opened(sender)
    if sender.name == "gitlab":
        payload["object_attributes"]["source_project_id"] = 15
    else:
        payload["pull_request"]["head"]["repo"] = payload["pull_request"]["base"]["repo"]
    push = sender.forge.parse_pull_request(payload)
    assert push is not None
    assert push.pull_request == PullRequest("main", is_fork=False)


def test_one_whose_repository_is_gone_comes_from_a_fork(sender: Sender) -> None:
    payload = opened(sender)
    if sender.name == "gitlab":
        payload["object_attributes"] |= {"source_project_id": None, "target_project_id": None}
    else:
        payload["pull_request"]["head"]["repo"] = None
    push = sender.forge.parse_pull_request(payload)
    assert push is not None
    assert push.pull_request is not None
    assert push.pull_request.is_fork


def test_new_commits_count_and_what_changes_no_commit_does_not(sender: Sender) -> None:
    pushed = {"github": "synchronize", "gitea": "synchronized"}.get(sender.name, "update")
    assert sender.forge.parse_pull_request(with_action(sender, pushed, oldrev="0" * 40)) is not None
    again = "reopen" if sender.name == "gitlab" else "reopened"
    assert sender.forge.parse_pull_request(with_action(sender, again)) is not None
    for action in ("closed", "close", "edited", "merge", "unlabeled"):
        assert sender.forge.parse_pull_request(with_action(sender, action)) is None
    if sender.name == "gitlab":
        assert sender.forge.parse_pull_request(with_action(sender, "update")) is None


def test_the_event_that_sets_the_label_allows_and_no_other(sender: Sender) -> None:
    push = sender.forge.parse_pull_request(labelled(sender))
    assert push is not None
    assert push.pull_request == PullRequest("main", is_fork=True, is_allowed=True)
    assert sender.forge.parse_pull_request(labelled(sender, "docs")) is None
    later = labelled(sender)
    if sender.name == "gitlab":
        later["object_attributes"] |= {"oldrev": "0" * 40}
        later["changes"] = {"labels": {"previous": [{"title": LABEL}], "current": [{"title": LABEL}]}}
    else:
        later["action"] = "synchronize" if sender.name == "github" else "synchronized"
    push = sender.forge.parse_pull_request(later)
    assert push is not None
    assert push.pull_request == PullRequest("main", is_fork=True)


def test_what_a_real_gitea_sent_is_read() -> None:
    sender = SENDERS["gitea"]
    opened_, allowed = (
        sender.forge.parse_pull_request(sender.load(name))
        for name in ("recorded_pull_request", "recorded_pull_request_labelled")
    )
    assert opened_ is not None
    assert allowed is not None
    assert (opened_.ref, opened_.pusher) == ("refs/pull/2/head", "eve")
    assert opened_.pull_request == PullRequest("main", is_fork=True)
    assert allowed.pull_request == PullRequest("main", is_fork=True, is_allowed=True)
    assert opened_.after != allowed.after


def test_bitbucket_tells_of_none() -> None:
    assert SENDERS["bitbucket"].forge.parse_pull_request({"pullrequest": {}}) is None


@settings(max_examples=200)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32), value=JSON)
def test_any_value_anywhere_is_a_pull_request_or_a_bad_payload(name: str, seed: int, value: object) -> None:
    sender = SENDERS[name]
    dice = random.Random(seed)
    payload = copy.deepcopy(dice.choice([opened(sender), labelled(sender)]))
    parent, key = dice.choice(list(places(payload)))
    parent[key] = value
    for given_ in (payload, value):
        try:
            push = sender.forge.parse_pull_request(given_)
        except BadPayload as error:
            f"{error.field} {error}".encode()
        else:
            assert push is None or push.pull_request is not None
            if push is not None:
                "".join([push.ref, push.head_message, push.pusher, push.compare_url]).encode()
