"""What the API of every forge must do, and what GitHub's answers mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.commit_statuses import CommitStatus, StatusState
from app.domain.http import HttpAnswer
from app.forges.api import Access, ForgeApi, Hook, Later, Moved, Outcome, Refused, Taken
from app.forges.bitbucket_api import BitbucketApi
from app.forges.gitea_api import GiteaApi
from app.forges.github_api import GitHubApi
from app.forges.gitlab_api import GitLabApi

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHA = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d"
SECRET = "t0ken-of-acme"
APIS: list[ForgeApi] = [GitHubApi(), GitLabApi(), GiteaApi(), BitbucketApi()]
GITHUB = GitHubApi()
ACCESS = Access("https://api.github.com", SECRET)

each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


# every forge


@each_api
@pytest.mark.parametrize("state", StatusState)
def test_a_status_is_one_request_to_the_api_with_the_secret_out_of_sight(
    api: ForgeApi, state: StatusState
) -> None:
    access = Access(api.default_url("git.acme.example"), SECRET)
    status = CommitStatus("jobyard/report", state, "Build 7 is queued.", "https://ci.acme.example/builds/7")
    request = api.status(access, "acme/report", SHA, status)
    assert request.method == "POST"
    assert request.url.startswith(f"{access.url}/")
    assert SHA in request.url
    assert SECRET not in request.url
    assert SECRET in str(request.headers)
    said = request.url + json.dumps(request.json)
    assert "jobyard" in said
    assert SECRET not in repr((access, request))


@each_api
def test_a_status_without_a_link_has_none(api: ForgeApi) -> None:
    status = CommitStatus("jobyard/report", StatusState.SUCCESS, "Skipped.")
    request = api.status(Access("https://git.acme.example/api", SECRET), "acme/report", SHA, status)
    assert "None" not in request.url
    assert "null" not in json.dumps(request.json)


@each_api
def test_a_repository_of_strange_characters_stays_in_the_path(api: ForgeApi) -> None:
    status = CommitStatus("jobyard/report", StatusState.SUCCESS, "Skipped.")
    request = api.status(Access("https://git.acme.example/api", SECRET), "ac me/re?port#x", SHA, status)
    assert "?port" not in request.url
    assert "#" not in request.url


headers = st.dictionaries(
    st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset", "location"]),
    st.one_of(st.text(), st.integers().map(str), st.sampled_from(["0", "60", "1772366400"])),
)
bodies = st.one_of(
    st.binary(),
    st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda x: json.dumps(x).encode()),
)


@each_api
@given(status=st.integers(100, 599), headers=headers, body=bodies)
def test_any_answer_means_something(api: ForgeApi, status: int, headers: dict[str, str], body: bytes) -> None:
    outcome = api.status_outcome(HttpAnswer(status, headers, body), NOW)
    assert isinstance(outcome, Taken | Later | Refused | Moved)
    if isinstance(outcome, Later | Refused):
        assert outcome.sentence[0].isupper()
    if isinstance(outcome, Later) and outcome.at:
        assert NOW <= outcome.at <= NOW + timedelta(hours=24)


# GitHub


def answered(status: int, body: Any = None, **headers: str) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return GITHUB.status_outcome(HttpAnswer(status, named, content), NOW)


def test_where_the_api_is() -> None:
    assert GITHUB.default_url("github.com") == "https://api.github.com"
    assert GITHUB.default_url("github.acme.example") == "https://github.acme.example/api/v3"


def test_the_request_is_as_documented() -> None:
    status = CommitStatus("jobyard/report", StatusState.PENDING, "Queued.", "https://ci.example/builds/7")
    request = GITHUB.status(ACCESS, "acme/report", SHA, status)
    assert request.url == f"https://api.github.com/repos/acme/report/statuses/{SHA}"
    assert request.json == {
        "state": "pending",
        "context": "jobyard/report",
        "description": "Queued.",
        "target_url": "https://ci.example/builds/7",
    }
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert request.headers["User-Agent"]


def test_what_was_taken() -> None:
    assert answered(201, {"state": "pending"}) == Taken()
    assert answered(200, b"<html>Log in to the hotel's network") == Later(
        "What answered with status 200 is not GitHub's API: look at the credential's api_url."
    )


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "30"}, timedelta(seconds=30)),
        ({"retry_after": "Sun, 01 Mar 2026 12:05:00 GMT"}, timedelta(minutes=5)),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1772367300"}, timedelta(minutes=15)),
        (
            {"retry_after": "30", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "1772367300"},
            timedelta(seconds=30),
        ),
        ({"x_ratelimit_remaining": "0"}, timedelta(minutes=1)),
        ({"retry_after": "99999999"}, timedelta(hours=2)),
        ({"retry_after": "Sun, 01 Mar 2020 12:05:00 GMT"}, timedelta(0)),
    ],
)
@pytest.mark.parametrize("status", [403, 429])
def test_limits_say_until_when(status: int, headers: dict[str, str], wait: timedelta) -> None:
    sentence = f"GitHub asks to wait (status {status}): a rate limit is reached."
    assert answered(status, **headers) == Later(sentence, NOW + wait, is_for_all=True)


def test_a_secondary_limit_may_be_told_in_words_alone() -> None:
    said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    assert answered(403, {"message": said}) == Later(
        "GitHub asks to wait (status 403): a rate limit is reached.",
        NOW + timedelta(minutes=1),
        is_for_all=True,
    )


def test_what_passes() -> None:
    assert answered(502) == Later("GitHub answered with status 502.")
    assert answered(408) == Later("GitHub answered with status 408.")


def test_what_the_credential_may_not() -> None:
    statuses = "Commit statuses: write (of a classic token, the scope repo:status)"
    assert answered(401, {"message": "Bad credentials"}) == Refused(
        "GitHub does not know the credential (401): its token is wrong, revoked or expired.", is_for_all=True
    )
    assert answered(403, {"message": "Resource not accessible by personal access token"}) == Refused(
        f"GitHub does not let the credential do this (403): it needs {statuses}."
        " It said: Resource not accessible by personal access token.",
        is_for_all=True,
    )
    assert answered(404, {"message": "Not Found"}) == Refused(
        "GitHub shows the credential no such repository (404): the credential needs access to it, and"
        f" {statuses}.",
        is_for_all=True,
    )


def test_what_is_about_one_commit() -> None:
    assert answered(422, {"message": f"No commit found for SHA: {SHA}."}) == Refused(
        f"GitHub did not take it (422): was the commit rewritten, and is gone? It said: No commit found for SHA: {SHA}."
    )
    assert answered(410, b"gone") == Refused("GitHub refused it with status 410.")


def test_a_renamed_repository_is_somewhere_else() -> None:
    there = f"https://api.github.com/repositories/1296269/statuses/{SHA}"
    assert answered(307, location=there) == Moved(there)
    assert answered(301, location=there) == Moved(there)


HOOK = {
    "id": 12,
    "active": True,
    "events": ["push", "pull_request"],
    "config": {"url": "https://ci.example/webhooks/github", "content_type": "json", "secret": "********"},
    "last_response": {"code": 502, "status": "failed", "message": "Bad Gateway"},
}


def test_hooks_are_read() -> None:
    unused = {**HOOK, "id": 13, "events": ["*"], "last_response": {"code": None, "status": "unused"}}
    other = {**HOOK, "id": 14, "active": False, "events": ["issues"], "last_response": None}
    found = [HOOK, unused, other, {"id": "no number"}, {"id": 1}, 7]
    address = "https://ci.example/webhooks/github"
    assert GITHUB.hooks_in(HttpAnswer(200, {}, json.dumps(found).encode())) == [
        Hook("12", address, is_active=True, takes_pushes=True, said="502 Bad Gateway"),
        Hook("13", address, is_active=True, takes_pushes=True),
        Hook("14", address, is_active=False, takes_pushes=False),
    ]
    assert GITHUB.hooks_in(HttpAnswer(200, {}, b"{}")) == []


def test_a_hook_is_made_and_changed() -> None:
    address = "https://ci.example/webhooks/github"
    made = GITHUB.save_hook(ACCESS, "acme/report", None, address, "hush")
    config = {"url": address, "content_type": "json", "insecure_ssl": "0", "secret": "hush"}
    assert (made.method, made.url) == ("POST", "https://api.github.com/repos/acme/report/hooks")
    assert made.json == {"name": "web", "active": True, "events": ["push", "pull_request"], "config": config}
    changed = GITHUB.save_hook(ACCESS, "acme/report", "12", address, "hush")
    assert (changed.method, changed.url) == ("PATCH", "https://api.github.com/repos/acme/report/hooks/12")
    assert changed.json == {"active": True, "add_events": ["push", "pull_request"], "config": config}
    assert (
        GITHUB.hooks(ACCESS, "acme/report").url
        == "https://api.github.com/repos/acme/report/hooks?per_page=100"
    )
    needed = GITHUB.hook_outcome(HttpAnswer(404), NOW)
    assert isinstance(needed, Refused)
    assert "Webhooks: write (of a classic token, the scope admin:repo_hook)" in needed.sentence
