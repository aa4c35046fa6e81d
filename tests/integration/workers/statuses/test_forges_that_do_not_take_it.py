"""A forge that is down, hangs, limits, refuses or answers garbage; and servers that die while they post."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from app.commands.builds import request_build
from app.domain.http import HttpAnswer, HttpRequest
from app.store import commit_statuses
from app.workers.clock_changes import ClockChanges
from tests.support.fakes import commit
from tests.support.github_api import TOKEN, Answer, GitHubDouble
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.mortal import Fuse, Killed, MortalDatabase
from tests.support.told_forge import ToldForge, send_here

A, B = commit("a"), commit("b")
HOST = "The API of github.com"


@pytest.fixture
def pushed(place: Installation, server: Server) -> None:
    """Of one commit there is something to post."""
    place.job()
    place.push(None, A)
    server.intake.step()


def said(told: ToldForge) -> str:
    (status,) = told.statuses()
    return status.said


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Answer(502, b"<html>Bad gateway"), "GitHub answered with status 502."),
        (Answer(429, {}, {"Retry-After": "3"}), "GitHub asks to wait (status 429): a rate limit is reached."),
        (
            Answer(200, b"<html>Welcome to the hotel"),
            "What answered with status 200 is not GitHub's API: look at the credential's api_url.",
        ),
        (None, f"{HOST} did not answer in 2 s."),
    ],
)
def test_what_passes_is_tried_again(
    place: Installation, github: GitHubDouble, told: ToldForge, fault: Answer | None, sentence: str
) -> None:
    github.faults.append(fault)
    told.another(send=partial(send_here, seconds=2) if fault is None else send_here).step()
    assert said(told) == sentence
    assert github.posted == []
    told.tell()
    assert len(github.asked) == 1, "not at once"
    place.clock.advance(6)
    told.tell()
    assert github.states() == ["pending"]
    assert said(told) == ""
    assert place.db.counts.totals("commit_status") == {("put_off",): 1, ("posted",): 1}


@pytest.mark.usefixtures("pushed")
def test_a_server_that_is_down_is_asked_less_and_less_and_given_up_after_a_day(
    place: Installation, github: GitHubDouble, told: ToldForge
) -> None:
    def down(request: HttpRequest) -> HttpAnswer:
        github.asked.append(request.method)
        return send_here(HttpRequest("GET", "http://127.0.0.1:9/"))

    worker = told.another(send=down)
    for _ in range(24 * 60 + 30):
        worker.step()
        place.clock.advance(minutes=1)
    assert 100 < len(github.asked) < 200
    assert said(told) == f"{HOST} can't be reached: no connection. Given up after 24 hours."
    (status,) = told.statuses()
    assert status.is_given_up
    assert status.due_at is None


@pytest.mark.usefixtures("pushed")
def test_a_limit_holds_for_all_of_a_host_until_it_ends(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    place.push(A, B)
    server.intake.step()
    github.faults.append(
        Answer(403, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "600"})
    )
    told.tell()
    assert len(github.asked) == 1
    place.clock.advance(590)
    told.tell()
    assert len(github.asked) == 1, "the host asked to wait"
    place.clock.advance(15)
    told.tell()
    assert len(github.posted) == 2


@pytest.mark.usefixtures("pushed")
def test_what_the_credential_may_not_ends_the_status_with_what_is_missing(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    github.may.discard("statuses")
    told.tell()
    assert said(told) == (
        "GitHub does not let the credential do this (403): it needs Commit statuses: write (of a classic token, the"
        " scope repo:status). It said: Resource not accessible by personal access token. It is credential github."
    )
    server.work()
    told.tell()
    assert len(github.asked) == 1, "it is not asked again about this commit"
    assert place.db.counts.totals("commit_status") == {("given_up",): 1}


@pytest.mark.usefixtures("pushed")
def test_another_credential_has_what_was_refused_posted_after_all(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    github.may.discard("statuses")
    told.tell()
    server.work()
    told.tell()
    github.may.add("statuses")
    told.allow(name="another")
    told.tell()
    assert github.states() == ["success"]


def test_a_token_that_is_not_known(place: Installation, server: Server, github: GitHubDouble) -> None:
    told = ToldForge(place, github)
    told.allow("ghp_of-nobody")
    place.job()
    place.push(None, A)
    server.intake.step()
    told.tell()
    assert said(told) == (
        "GitHub does not know the credential (401): its token is wrong, revoked or expired. It is credential github."
    )


@pytest.mark.usefixtures("pushed")
def test_a_commit_that_was_rewritten_ends_its_status_alone(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    github.rewritten.add(A)
    place.push(A, B)
    server.intake.step()
    told.tell()
    assert github.states(sha=B) == ["pending"]
    first, _ = told.statuses()
    assert first.said == (
        "GitHub did not take it (422): was the commit rewritten, and is gone?"
        f" It said: No commit found for SHA: {A}."
    )
    assert first.is_given_up


@pytest.mark.usefixtures("pushed")
def test_a_renamed_repository_gets_its_status_and_is_told_of(github: GitHubDouble, told: ToldForge) -> None:
    github.renamed["acme/report"] = "acme/reports"
    told.tell()
    assert github.states() == ["pending"]
    assert said(told) == "GitHub has the repository at another address by now: change it in the job."


@pytest.mark.usefixtures("pushed")
def test_the_token_goes_to_no_other_server(github: GitHubDouble, told: ToldForge) -> None:
    github.faults.append(Answer(307, {}, {"Location": "http://127.0.0.1:9/elsewhere"}))
    told.tell()
    assert len(github.asked) == 1
    assert said(told) == "GitHub has the repository at another address by now: change it in the job."
    assert told.statuses()[0].is_given_up


def test_where_there_is_no_credential(
    place: Installation, server: Server, github: GitHubDouble, caplog: pytest.LogCaptureFixture
) -> None:
    told = ToldForge(place, github)
    place.job()
    place.push(None, A)
    server.intake.step()
    told.tell()
    assert (
        said(told) == "The project has no git credential for github.com: add one with a token of the forge."
    )


def test_a_key_for_ssh_opens_no_api(place: Installation, server: Server, github: GitHubDouble) -> None:
    told = ToldForge(place, github)
    told.allow(None)
    place.job()
    place.push(None, A)
    server.intake.step()
    told.tell()
    assert said(told) == (
        "Credential github is a key for ssh, which opens no API: add a git credential with a token of github.com."
    )


def test_a_forge_of_an_unknown_kind(place: Installation, server: Server, github: GitHubDouble) -> None:
    told = ToldForge(place, github)
    told.allow(host="code.acme.example", name="code", api_url="")
    url = "https://code.acme.example/acme/report.git"
    job = place.job(source__url=url, source__repo_key="code.acme.example/acme/report")
    assert job.source is not None
    with place.db.write() as tx:
        request_build(tx, job, sha=A, branch=None, who="ada", now=place.clock.now())
    told.tell()
    assert said(told) == (
        "What kind of forge code.acme.example is, is not known yet: set the forge of credential code to github,"
        " gitlab, gitea or bitbucket."
    )


def test_a_credential_says_what_kind_of_forge_it_is_for(
    place: Installation, server: Server, github: GitHubDouble
) -> None:
    told = ToldForge(place, github)
    asked: list[HttpRequest] = []

    def send(request: HttpRequest) -> HttpAnswer:
        asked.append(request)
        return HttpAnswer(201, body=b"{}")

    told.allow(host="code.acme.example", name="code", api_url="", forge="gitlab")
    url = "https://code.acme.example/acme/report.git"
    job = place.job(source__url=url, source__repo_key="code.acme.example/acme/report")
    with place.db.write() as tx:
        request_build(tx, job, sha=A, branch=None, who="ada", now=place.clock.now())
    told.worker = told.another(send=send)
    told.tell()
    (request,) = asked
    assert request.url == f"https://code.acme.example/api/v4/projects/acme%2Freport/statuses/{A}"


@pytest.mark.usefixtures("pushed")
def test_a_fault_of_ours_is_tried_again(place: Installation, github: GitHubDouble, told: ToldForge) -> None:
    def broken(_request: HttpRequest) -> HttpAnswer:
        raise RuntimeError("a fault")

    told.another(send=broken).step()
    assert said(told) == "Jobyard failed while posting the status; the server's log has more."
    place.clock.advance(6)
    told.tell()
    assert github.states() == ["pending"]


# servers that die


def test_wherever_a_server_dies_the_newest_state_is_what_the_forge_shows_last(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    """Killed at each of its contacts with the world, with a newer state each time."""
    place.job()
    before: str | None = None
    for point in range(1, 12):
        sha = commit(f"killed-{point}")
        place.push(before, sha)
        server.intake.step()
        fuse = Fuse(point)

        def send(request: HttpRequest, fuse: Fuse = fuse) -> HttpAnswer:
            fuse.burn("before post")
            answer = send_here(request)
            fuse.burn("after post")
            return answer

        mortal = told.another(MortalDatabase(place.db, fuse), send)
        try:
            for _ in range(4):
                mortal.step()
        except Killed:
            pass
        server.work()
        told.tell()
        place.clock.advance(minutes=5)
        told.tell()
        assert github.states(sha=sha)[-1] == "success", f"killed at {fuse.burnt}"
        before = sha
    assert all(status.posted_version == status.version for status in told.statuses())


@pytest.mark.usefixtures("pushed")
def test_a_server_that_was_stopped_while_it_posts_does_not_have_the_last_word(
    place: Installation, server: Server, github: GitHubDouble, told: ToldForge
) -> None:
    late: list[HttpRequest] = []

    def stands_still(request: HttpRequest) -> HttpAnswer:
        """While others go on: it sends when they are through."""
        place.clock.advance(minutes=2)
        server.work()
        told.tell()
        late.append(request)
        return send_here(request)

    told.another(send=stands_still).step()
    assert len(late) == 1
    assert github.states()[-1] == "pending", "the late one came last"
    told.tell()
    place.clock.advance(minutes=2)
    told.tell()
    assert github.states()[-1] == "success"


@pytest.mark.usefixtures("pushed")
def test_no_two_servers_post_the_same(place: Installation, github: GitHubDouble, told: ToldForge) -> None:
    told.worker._tell()
    with place.db.write() as tx:
        now = place.clock.now()
        first = commit_statuses.claim(tx, "github.com", now, now + timedelta(minutes=1))
        assert first is not None
        assert commit_statuses.claim(tx, "github.com", now, now + timedelta(minutes=1)) is None
    assert TOKEN not in repr(first)


@pytest.mark.usefixtures("pushed")
def test_no_secret_is_in_what_is_stored_or_logged(
    github: GitHubDouble, told: ToldForge, caplog: pytest.LogCaptureFixture
) -> None:
    github.faults += [Answer(401, {"message": "Bad credentials"})]
    told.tell()
    assert TOKEN not in said(told)
    assert TOKEN not in caplog.text


@pytest.mark.usefixtures("pushed")
def test_a_clock_that_is_set_back_puts_nothing_off(
    place: Installation, github: GitHubDouble, told: ToldForge
) -> None:
    changes = ClockChanges(place.db, place.clock)
    changes.step()
    github.faults.append(Answer(502, b""))
    told.tell()
    place.clock.set_by(-3600)
    changes.step()
    place.clock.advance(6)
    told.tell()
    assert github.states() == ["pending"]
