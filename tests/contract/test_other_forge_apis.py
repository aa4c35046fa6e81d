"""What GitLab, Gitea and Bitbucket are asked, as they document it, and what their answers mean."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from app.domain.commit_statuses import CommitStatus, StatusState
from app.domain.http import HttpAnswer
from app.forges.api import Access, Hook, Refused, Taken
from app.forges.bitbucket_api import KEY, BitbucketApi
from app.forges.gitea_api import GiteaApi
from app.forges.gitlab_api import GitLabApi

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHA = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d"
ADDRESS = "https://ci.example/webhooks/x"
STATUS = CommitStatus("jobyard/report", StatusState.FAILURE, "Build 7 failed.", "https://ci.example/builds/7")
GITLAB, GITEA, BITBUCKET = GitLabApi(), GiteaApi(), BitbucketApi()


def told(body: object, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(body).encode())


def test_where_the_apis_are() -> None:
    assert GITLAB.default_url("gitlab.com") == "https://gitlab.com/api/v4"
    assert GITEA.default_url("codeberg.org") == "https://codeberg.org/api/v1"
    assert BITBUCKET.default_url("bitbucket.org") == "https://api.bitbucket.org/2.0"
    assert BITBUCKET.default_url("git.example") == "https://git.example/rest/build-status/1.0"


def test_a_status_of_gitlab() -> None:
    access = Access("https://gitlab.com/api/v4", "hush")
    request = GITLAB.status(access, "acme/tools/report", SHA, STATUS)
    assert request.url == f"https://gitlab.com/api/v4/projects/acme%2Ftools%2Freport/statuses/{SHA}"
    assert request.headers["Authorization"] == "Bearer hush"
    assert request.json == {
        "state": "failed",
        "name": "jobyard/report",
        "description": "Build 7 failed.",
        "target_url": "https://ci.example/builds/7",
    }


def test_gitlab_refuses_a_status_that_it_has_already() -> None:
    said = {"message": {"state": ["Cannot transition status via :enqueue from :pending"]}}
    plain = {"message": "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot)"}
    for body in (said, plain):
        assert GITLAB.status_outcome(told(body, 400), NOW) == Taken()
    refused = GITLAB.status_outcome(told({"message": "state does not have a valid value"}, 400), NOW)
    assert refused == Refused(
        "GitLab refused it with status 400. It said: state does not have a valid value."
    )


def test_a_status_of_gitea() -> None:
    request = GITEA.status(Access("https://git.example/api/v1", "hush"), "acme/report", SHA, STATUS)
    assert request.url == f"https://git.example/api/v1/repos/acme/report/statuses/{SHA}"
    assert request.headers["Authorization"] == "token hush"
    assert request.json == {
        "state": "failure",
        "context": "jobyard/report",
        "description": "Build 7 failed.",
        "target_url": "https://ci.example/builds/7",
    }


def test_a_status_of_bitbucket() -> None:
    access = Access("https://api.bitbucket.org/2.0", "hush")
    request = BITBUCKET.status(access, "acme/report", SHA, STATUS)
    path = f"/repositories/acme/report/commit/{SHA}/statuses/build"
    assert request.url == f"https://api.bitbucket.org/2.0{path}"
    assert request.headers["Authorization"] == "Bearer hush"
    assert request.json == {
        "key": "jobyard/report",
        "name": "jobyard/report",
        "state": "FAILED",
        "description": "Build 7 failed.",
        "url": "https://ci.example/builds/7",
    }
    by_name = BITBUCKET.status(Access(access.url, "hush", "ada"), "acme/report", SHA, STATUS)
    assert by_name.headers["Authorization"] == f"Basic {base64.b64encode(b'ada:hush').decode()}"


def test_a_status_of_data_center() -> None:
    access = Access("https://git.example/rest/build-status/1.0", "hush")
    status = CommitStatus("jobyard/report", StatusState.ERROR, "Cancelled.")
    request = BITBUCKET.status(access, "TOOLS/report", SHA, status)
    assert request.url == f"https://git.example/rest/build-status/1.0/commits/{SHA}"
    assert isinstance(request.json, dict)
    assert request.json["state"] == "FAILED"
    assert BITBUCKET.status_outcome(HttpAnswer(204), NOW) == Taken()


def test_a_key_of_bitbucket_is_short_and_still_tells_jobs_apart() -> None:
    access = Access("https://api.bitbucket.org/2.0", "hush")
    keys = set()
    for name in ("a" * 60 + "1", "a" * 60 + "2"):
        status = CommitStatus(f"jobyard/{name}", StatusState.PENDING, "Queued.")
        body = BITBUCKET.status(access, "acme/report", SHA, status).json
        assert isinstance(body, dict)
        assert body["state"] == "INPROGRESS"
        keys.add(body["key"])
    assert len(keys) == 2
    assert max(map(len, keys)) <= KEY


@pytest.mark.parametrize(
    ("api", "needs"),
    [(GITLAB, "the scope api"), (GITEA, "write:repository"), (BITBUCKET, "the scope repository")],
)
def test_what_is_missing_is_said_in_the_forges_words(
    api: GitLabApi | GiteaApi | BitbucketApi, needs: str
) -> None:
    for status in (403, 404):
        refused = api.status_outcome(told({}, status), NOW)
        assert isinstance(refused, Refused)
        assert refused.is_for_all
        assert refused.sentence.startswith(api.name)
        assert needs in refused.sentence


def test_hooks_of_gitlab() -> None:
    access = Access("https://gitlab.com/api/v4", "x")
    listed = GITLAB.hooks(access, "acme/report")
    assert listed.url == "https://gitlab.com/api/v4/projects/acme%2Freport/hooks?per_page=100"
    one = {"id": 1, "url": ADDRESS, "push_events": True, "alert_status": "executable"}
    off = {"id": 2, "url": ADDRESS, "push_events": False, "alert_status": "disabled"}
    assert GITLAB.hooks_in(told([one, off, {"id": 3}, 4])) == [
        Hook("1", ADDRESS, is_active=True, takes_pushes=True),
        Hook("2", ADDRESS, False, False, "GitLab disabled it after calls that failed"),
    ]
    made = GITLAB.save_hook(access, "acme/report", None, ADDRESS, "hush")
    assert (made.method, made.url) == ("POST", "https://gitlab.com/api/v4/projects/acme%2Freport/hooks")
    assert made.json == {
        "url": ADDRESS,
        "token": "hush",
        "push_events": True,
        "tag_push_events": True,
        "merge_requests_events": True,
        "enable_ssl_verification": True,
    }
    changed = GITLAB.save_hook(access, "acme/report", "1", ADDRESS, "hush")
    assert (changed.method, changed.url.rpartition("/")[2]) == ("PUT", "1")


def test_hooks_of_gitea() -> None:
    access = Access("https://git.example/api/v1", "x")
    assert GITEA.hooks(access, "acme/report").url.endswith("/repos/acme/report/hooks?limit=50")
    one = {"id": 1, "type": "gitea", "config": {"url": ADDRESS}, "events": ["push"], "active": True}
    assert GITEA.hooks_in(told([one, {**one, "config": None}])) == [Hook("1", ADDRESS, True, True)]
    made = GITEA.save_hook(access, "acme/report", None, ADDRESS, "hush")
    config = {"url": ADDRESS, "content_type": "json", "secret": "hush"}
    events = ["push", "pull_request"]
    assert made.json == {"type": "gitea", "active": True, "events": events, "config": config}
    assert GITEA.save_hook(access, "acme/report", "1", ADDRESS, "hush").method == "PATCH"


def test_hooks_of_bitbucket() -> None:
    access = Access("https://api.bitbucket.org/2.0", "x")
    assert BITBUCKET.hooks(access, "acme/report").url.endswith("/repositories/acme/report/hooks?pagelen=100")
    one = {"uuid": "{1f}", "url": ADDRESS, "active": True, "events": ["repo:push"]}
    assert BITBUCKET.hooks_in(told({"values": [one, {"uuid": 7}]})) == [Hook("{1f}", ADDRESS, True, True)]
    changed = BITBUCKET.save_hook(access, "acme/report", "{1f}", ADDRESS, "hush")
    assert (changed.method, changed.url.rpartition("/")[2]) == ("PUT", "%7B1f%7D")
    assert BITBUCKET.hooks_in(told([])) == []
