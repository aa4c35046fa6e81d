"""What GitHub lets a GitHub App in by, and what is said where it does not, against a double of GitHub over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app import outbound
from app.checkout import AuthRefused, Checkouts, Credential
from app.commands.app_tokens import AppTokens
from app.domain.egress import Egress
from app.domain.errors import GitUnavailable, JobyardError
from app.domain.github_apps import AppKey, AppRefused
from app.domain.http import HttpAnswer, HttpRequest
from tests.support import github
from tests.support.clock import Clock
from tests.support.git_server import GitServer
from tests.support.github import APP_ID, PEM, GitHub
from tests.support.repositories import Repository

URL = "https://github.com/acme/report.git"
KEY = AppKey(7, "the-app", APP_ID, "https://api.github.com", PEM)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def double(clock: Clock) -> GitHub:
    return GitHub(clock)


@pytest.fixture
def tokens(double: GitHub, clock: Clock) -> AppTokens:
    return AppTokens(clock, double.send)


def refused(tokens: AppTokens, url: str = URL, key: AppKey = KEY) -> str:
    with pytest.raises(AppRefused) as caught:
        tokens(key, url)
    assert not caught.value.args[0].count("ghs_")
    return str(caught.value)


def later(tokens: AppTokens) -> str:
    with pytest.raises(GitUnavailable) as caught:
        tokens(KEY, URL)
    return str(caught.value)


def test_a_token_opens_one_repository_and_is_made_again_before_it_ends(
    tokens: AppTokens, double: GitHub, clock: Clock
) -> None:
    double.repositories["acme/other"] = False
    first = tokens(KEY, URL)
    assert double.tokens[first][0] == ["acme/report"]
    assert tokens(KEY, URL) == first
    clock.advance(minutes=51)
    second = tokens(KEY, URL)
    assert second != first
    other = tokens(KEY, "https://github.com/acme/other")
    assert double.tokens[other][0] == ["acme/other"]
    assert len(double.tokens) == 3
    assert AppTokens(clock, double.send)(KEY, URL) not in (first, second)  # another server makes its own


def test_where_github_says_no_the_sentence_says_what_would_be_right(
    tokens: AppTokens, double: GitHub, clock: Clock
) -> None:
    install = "install it there, or add the repository to its installation at GitHub."
    assert refused(tokens, "https://github.com/acme/secret") == (
        f"GitHub App the-app is not installed on acme/secret: {install}"
    )
    double.is_suspended = True
    assert refused(tokens) == (
        "The installation of GitHub App the-app on acme is suspended: unsuspend it at GitHub."
    )
    double.is_suspended, double.is_deleted = False, True
    assert refused(tokens) == (
        f"GitHub has no App {APP_ID} (404): it was deleted, or the App id of the-app is another's. Make it again."
    )
    double.is_deleted, double.pem = False, github.new_pem()  # the key was revoked, and another made
    assert refused(tokens) == (
        "GitHub does not know the private key of GitHub App the-app (401): it was revoked, or is another App's. Make a"
        " new key at GitHub, and save it here."
    )
    double.pem = PEM
    assert refused(tokens, "git@github.com:acme/report.git") == (
        "GitHub App the-app opens https addresses alone: use the repository's https address, or a deploy key."
    )
    assert refused(tokens, key=replace(KEY, private_key="none")) == (
        "The private key of GitHub App the-app signs nothing: save it anew, as GitHub gave it."
    )


@pytest.mark.parametrize(("minutes", "way"), [(12, "ahead of"), (-12, "behind")])
def test_a_clock_that_is_off_is_told_from_a_wrong_key(double: GitHub, minutes: int, way: str) -> None:
    ours = Clock()
    double.clock = Clock(at=ours.now() - timedelta(minutes=minutes))
    assert refused(AppTokens(ours, double.send)) == (
        f"GitHub refuses the signature of GitHub App the-app (401), as this server's clock is 720 s {way} GitHub's:"
        " set it, by NTP for instance."
    )


def test_what_may_be_good_later_is_tried_later(tokens: AppTokens, double: GitHub, clock: Clock) -> None:
    double.says = [(502, {}, b"<html>")]
    assert later(tokens) == "GitHub answered GitHub App the-app with status 502."
    double.says = [(403, {"retry-after": "60"}, {"message": "You have exceeded a secondary rate limit"})]
    assert later(tokens) == "GitHub asks GitHub App the-app to wait: a rate limit is reached."

    def silent(_request: HttpRequest) -> HttpAnswer:
        raise outbound.NoAnswer("did not answer in 10 s")

    assert later(AppTokens(clock, silent)) == "The API that GitHub App the-app asks did not answer in 10 s."

    def forbidden(_request: HttpRequest) -> HttpAnswer:
        raise outbound.NotAllowed("counts as private")

    assert refused(AppTokens(clock, forbidden)) == (
        "The API that GitHub App the-app asks counts as private: look at its api_url."
    )


@pytest.mark.parametrize("said", [b"<html>hello", [], {"token": ""}, {"id": "x"}])
def test_what_is_not_githubs_api_is_told(tokens: AppTokens, double: GitHub, said: Any) -> None:
    double.says = [(200, {}, said), (200, {}, said)]
    assert refused(tokens) == "What answered GitHub App the-app is not GitHub's API: look at its api_url."


def test_what_else_github_says_is_told(tokens: AppTokens, double: GitHub) -> None:
    double.says = [(451, {}, {"message": "Repository access blocked"})]
    assert refused(tokens) == (
        "GitHub refused GitHub App the-app with status 451. It said: Repository access blocked."
    )


def test_a_renamed_repository_is_asked_for_where_it_is_now(tokens: AppTokens, double: GitHub) -> None:
    double.says = [(301, {"location": "https://api.github.com/repos/acme/report/installation"}, {})]
    assert tokens(KEY, URL).startswith("ghs_")
    double.says = [(301, {"location": "https://evil.example/repos/acme/report/installation"}, {})]
    assert "status 301" in refused(tokens, "https://github.com/acme/other")
    assert all("evil" not in path for _, path in double.asked)


@pytest.fixture
def served(double: GitHub) -> Iterator[AppKey]:
    with github.served(double) as url:
        yield replace(KEY, api_url=url)


def test_git_fetches_with_a_token_of_the_app(
    tmp_path: Path, repository: Repository, server: GitServer, double: GitHub, served: AppKey, clock: Clock
) -> None:
    (server.root / "acme").mkdir()
    (server.root / "acme" / "report").symlink_to(repository.path / ".git")
    url = server.url("acme/report")
    tokens = AppTokens(clock, lambda request: outbound.send(Egress(), request, 10))
    checkouts = Checkouts(
        tmp_path / "checkouts", frozenset({"http"}), git_time_limit_seconds=20, tokens=tokens
    )
    credential = Credential("", app=served)
    server.user, server.password = "x-access-token", "ghs_1"
    assert checkouts.fetch(url, sha=None, ref="main", credential=credential) == repository.head
    assert checkouts.branches_of(url, credential) == ("main",)
    left = [path.read_bytes() for path in checkouts.root.rglob("*") if path.is_file()]
    assert not any(b"ghs_" in content or b"PRIVATE" in content for content in left)

    double.repositories.clear()  # it was taken out of the installation meanwhile
    server.password = "nothing opens it any more"
    with pytest.raises(AppRefused, match=re.escape("is not installed on acme/report")):
        checkouts.head_of(url, "main", credential)
    double.repositories["acme/report"] = True
    with pytest.raises(AuthRefused) as caught:
        checkouts.head_of(url, "main", credential)
    assert isinstance(caught.value, JobyardError)
    assert "ghs_" not in str(caught.value)
