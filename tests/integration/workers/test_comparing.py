"""Pushes that no hook told of: found by comparing with the remote, and built once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.checkout import Checkouts
from app.commands.builds import request_build
from app.commands.pausing import pause
from app.domain.comparing import GRACE
from app.domain.errors import GitUnavailable
from app.domain.events import repo_key
from app.domain.hosts import git_host
from app.domain.job.records import Job
from app.domain.sealing import of_credential
from app.store import comparisons, credentials, jobs
from app.store.database import StoreUnavailable
from builders.backends.base import BuildFailed
from tests.support.fakes import commit, fail
from tests.support.git_server import git_server
from tests.support.installation import Installation
from tests.support.loops import INTERVAL, Server
from tests.support.mortal import Fuse, Killed
from tests.support.repositories import Repository
from tests.support.samples import settings_of

A, B, C, D = (commit(letter) for letter in "abcd")
AWHILE = GRACE.total_seconds() + 1
OTHER = "https://git.example.com/acme/other.git"


def compare(place: Installation, server: Server) -> None:
    """As the loop does when the timer is due, and once more after the time that a hook is given; then all is done."""
    for seconds in (INTERVAL.total_seconds() + 1, AWHILE, AWHILE):
        place.clock.advance(seconds)
        server.remote_poller.step()
    server.work()


def told(place: Installation, server: Server, *shas: str) -> None:
    """Pushes that hooks tell of."""
    for before, after in zip((None, *shas), shas, strict=False):
        place.push(before, after)
        place.repository.heads["main"] = after
    server.work()


def shas(place: Installation) -> list[str | None]:
    return [build.sha for build in place.builds()]


def test_a_missed_push_is_built_once_with_a_decision_that_says_so(place: Installation) -> None:
    job, server = place.job(), place.server("one")
    told(place, server, A)
    compare(place, server)
    assert shas(place) == [A]
    place.repository.heads["main"] = B
    compare(place, server)
    compare(place, server)
    assert shas(place) == [A, B]
    assert [run.sha for run in place.runs()] == [A, B]
    [decision] = [each for each in place.decisions() if each.rule == "missed_push"]
    assert (decision.verdict, decision.job, decision.event_type) == ("built", job.name, "push")
    assert "Found by comparing with the remote at 2026-01-31 12:" in decision.sentence
    delivery = place.delivery(decision.event_id)
    assert (delivery.forge, delivery.event, delivery.sha) == ("remote", "reconciliation", B)
    assert delivery.repository == "acme/report"
    assert delivery.sentence.startswith("1 of 1 source to be built, 1 job decided. Found by comparing")


def test_a_head_that_has_just_changed_waits_for_its_hook(place: Installation) -> None:
    place.job()
    server = place.server("one")
    told(place, server, A)
    server.remote_poller.step()
    place.repository.heads["main"] = B
    place.clock.advance(INTERVAL.total_seconds() + 1)
    server.remote_poller.step()
    place.push(A, B)
    server.work()
    compare(place, server)
    assert [(each[2], each[3]) for each in place.verdicts() if each[0] == "push"] == [("built", "push")] * 2


def test_a_new_job_builds_nothing_by_itself(place: Installation) -> None:
    place.job()
    place.repository.heads["main"] = A
    server = place.server("one")
    compare(place, server)
    assert place.builds() == []
    assert place.decisions() == []
    place.repository.heads["main"] = B
    compare(place, server)
    assert shas(place) == [B]


def test_the_first_push_to_a_new_branch_is_found(place: Installation) -> None:
    place.job()
    server = place.server("one")
    compare(place, server)
    place.repository.heads["main"] = A
    compare(place, server)
    assert shas(place) == [A]


def by_hand(place: Installation, job: Job, sha: str | None) -> None:
    with place.db.write() as tx:
        request_build(tx, job, sha=sha, branch=None, who="ada", now=place.clock.now(), vault=place.box)


@pytest.mark.parametrize("names_commit", [True, False])
@pytest.mark.parametrize("is_over", [True, False])
def test_what_was_built_by_hand_is_not_built_again(
    place: Installation, *, names_commit: bool, is_over: bool
) -> None:
    job, server = place.job(), place.server("one")
    told(place, server, A)
    place.repository.heads["main"] = B
    place.repository.history = [A, B]
    by_hand(place, job, B if names_commit else None)
    if is_over:
        server.work()
    compare(place, server)
    compare(place, server)
    assert shas(place) == [A, B]
    [decision] = [each for each in place.decisions() if each.rule == "already_built"]
    assert (decision.verdict, decision.build_id) == ("skipped", 2)
    assert decision.sentence.startswith(
        f"Push of {B[:7]} to main: build 2 of it was asked for already. Found by"
    )
    place.push(A, B)
    server.work()
    assert place.verdicts()[-1][2:] == ("duplicate", "same_push")
    assert shas(place) == [A, B]


def test_a_build_by_hand_that_failed_holds_nothing_back(place: Installation) -> None:
    job, server = place.job(), place.server("one")
    told(place, server, A)
    place.repository.heads["main"] = B
    place.backend.before_end[B] = fail(BuildFailed("Step 1 failed."))
    by_hand(place, job, B)
    server.work()
    compare(place, server)
    assert [str(build.status) for build in place.builds()] == ["succeeded", "failed", "succeeded"]


def test_a_branch_that_was_set_back_to_what_was_built_before_is_built(place: Installation) -> None:
    """That build is older than what is deployed, and would not win."""
    job, server = place.job(), place.server("one")
    compare(place, server)
    place.repository.history = [A, B]
    for sha in (A, B, A):
        place.repository.heads["main"] = sha
        compare(place, server)
    assert shas(place) == [A, B, A]
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert (deployed.sha, deployed.build_id) == (A, 3)


@pytest.mark.parametrize("steps", [[(A, C)], [(B, C)], [(A, B), (B, C)], [(B, C), (A, B)]])
def test_hooks_that_come_late_build_the_head_no_second_time(
    place: Installation, steps: list[tuple[str, str]]
) -> None:
    job = place.job()
    place.repository.history = [A, B, C, D]
    server = place.server("one")
    told(place, server, A)
    place.repository.heads["main"] = C
    compare(place, server)
    for before, after in steps:
        guid = place.push(before, after)
        server.work()
        if after == C:
            [decision] = [each for each in place.decisions() if each.event_id == guid]
            assert (decision.verdict, decision.rule) == ("duplicate", "same_push")
    assert shas(place).count(C) == 1
    assert deployed_sha(place, job) == C
    place.push(C, D)
    place.repository.heads["main"] = D
    server.work()
    compare(place, server)
    assert shas(place).count(D) == 1
    assert deployed_sha(place, job) == D


def deployed_sha(place: Installation, job: Job) -> str | None:
    deployed = place.job_now(job).deployed
    return None if deployed is None else deployed.sha


@pytest.mark.parametrize("is_hook_first", [True, False])
def test_a_hook_at_the_same_moment_is_taken_once(place: Installation, is_hook_first: bool) -> None:
    place.job()
    place.repository.history = [A, B, C]
    server = place.server("one")
    told(place, server, A)
    place.repository.heads["main"] = C
    for seconds in (INTERVAL.total_seconds() + 1, AWHILE):
        if is_hook_first and seconds == AWHILE:
            place.push(A, B)
            place.push(B, C)
        place.clock.advance(seconds)
        server.remote_poller.step()
    if not is_hook_first:
        place.push(A, B)
        place.push(B, C)
    server.work()
    compare(place, server)
    assert shas(place).count(C) == 1


def test_two_servers_find_it_once(place: Installation) -> None:
    place.job()
    one, two = place.server("one", alone=False), place.server("two", alone=False)
    told(place, one, A)
    place.repository.heads["main"] = B
    for seconds in (INTERVAL.total_seconds() + 1, AWHILE):
        place.clock.advance(seconds)
        looks: list[Any] = []
        for server in (one, two):
            object.__setattr__(
                server.remote_poller, "give", lambda _, look, to=looks: to.append(look) or True
            )
            server.remote_poller.step()
        for look in looks:
            look()
    one.work()
    assert shas(place) == [A, B]


def test_all_remotes_are_due_at_the_start_and_after_an_outage_of_the_store(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.job()
    server = place.server("one")
    server.remote_poller.step()
    server.remote_poller.step()
    assert len(place.repository.asked) == 1
    server = place.server("two")
    server.remote_poller.step()
    assert len(place.repository.asked) == 2

    def unreachable(*_: object) -> None:
        raise StoreUnavailable("The database does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(comparisons, "watched", unreachable)
        with pytest.raises(StoreUnavailable):
            server.remote_poller.step()
    server.remote_poller.step()
    assert len(place.repository.asked) == 3


@pytest.mark.parametrize("blows_at", range(1, 15))
def test_a_server_that_is_killed_at_any_point_of_a_look_loses_and_doubles_nothing(
    place: Installation, blows_at: int
) -> None:
    place.job()
    server = place.server("one")
    told(place, server, A)
    place.repository.heads["main"] = B
    mortal = place.server("mortal", Fuse(blows_at))
    with suppress(Killed):
        for seconds in (0, AWHILE):
            place.clock.advance(seconds)
            mortal.remote_poller.step()
    compare(place, server)
    assert shas(place) == [A, B]


def test_branches_of_a_repository_are_asked_for_in_one_call(place: Installation) -> None:
    for name, branch in [("a", "main"), ("b", "next"), ("c", "main")]:
        place.job(name, source__branch=branch)
    place.server("one").remote_poller.step()
    [(_, branches)] = place.repository.asked
    assert branches == ("main", "next")


def test_what_decides_of_a_delivery_decides_of_what_was_found(place: Installation) -> None:
    place.job("docs", build__paths=["docs/"], build__paths_mode="allow", build__commit_flags=[])
    place.job("flagged", build__commit_flags=["[skip ci]"])
    paused = place.job("paused")
    server = place.server("one")
    told(place, server, A)
    with place.db.write() as tx:
        pause(tx, place.names, paused, who="ada", now=place.clock.now())
    place.repository.heads["main"] = B
    place.repository.differing[(A, B)] = frozenset({"report.py"})
    place.repository.messages[B] = "Mend the report [skip ci]"
    compare(place, server)
    assert {each[1:] for each in place.verdicts() if each[0] == "push"} - {
        (name, "built", "push") for name in ("docs", "flagged", "paused")
    } == {
        ("docs", "skipped", "paths"),
        ("flagged", "skipped", "commit_flag"),
        ("paused", "skipped", "paused"),
    }
    assert all(
        "no delivery of a hook that was processed by then tells of this push." in each.sentence
        for each in place.decisions()
        if each.verdict == "skipped"
    )


def test_what_came_while_ci_was_off_is_not_caught_up_with(place: Installation) -> None:
    job = place.job()
    server = place.server("one")
    told(place, server, A)
    compare(place, server)
    switch_ci(place, job, on=False)
    place.repository.heads["main"] = B
    compare(place, server)
    switch_ci(place, job, on=True)
    compare(place, server)
    assert shas(place) == [A]
    place.repository.heads["main"] = C
    compare(place, server)
    assert shas(place) == [A, C]


def switch_ci(place: Installation, job: Job, *, on: bool) -> None:
    with place.db.write() as tx:
        jobs.set_switches(tx, job.id, place.clock.now(), paused=False, ci_enabled=on)


def test_a_branch_that_was_forced_back_or_deleted_is_said_so(place: Installation) -> None:
    place.job()
    place.repository.history = [A, B]
    server = place.server("one")
    told(place, server, A, B)
    place.repository.heads["main"] = A
    compare(place, server)
    assert shas(place) == [A, B, A]
    forced = [each for each in place.decisions() if each.rule == "missed_push"]
    assert forced[0].sentence.endswith("What was there before is not part of it.")
    del place.repository.heads["main"]
    compare(place, server)
    [deleted] = [each for each in place.decisions() if each.rule == "deleted_ref"]
    assert deleted.sentence.startswith(
        "Branch main was deleted: there is nothing to build. Found by comparing"
    )
    place.repository.heads["main"] = C
    compare(place, server)
    assert shas(place) == [A, B, A, C]


def test_another_branch_builds_nothing_by_itself(place: Installation) -> None:
    job = place.job()
    place.repository.heads["next"] = B
    server = place.server("one")
    told(place, server, A)
    compare(place, server)
    with place.db.write() as tx:
        jobs.redefine(tx, job.id, job.spec, settings_of(job, branch="next"), place.clock.now())
    compare(place, server)
    assert shas(place) == [A]


def test_a_remote_that_fails_is_left_alone_longer_and_longer_and_its_sentence_is_kept(
    place: Installation,
) -> None:
    place.job()
    server = place.server("one")
    place.repository.faults = [GitUnavailable("git.example.com did not answer.")] * 100
    asked = []
    for _ in range(40):
        server.remote_poller.step()
        asked.append(len(place.repository.asked))
        place.clock.advance(30)
    assert asked[:8] == [1, 2, 2, 3, 3, 3, 3, 4]  # 30, 60, 120 s, …
    assert 4 < asked[-1] < 8
    with place.db.read() as tx:
        [seen] = comparisons.of_project(tx, place.project.id, 10)
    assert (seen.sentence, seen.compared_at) == ("git.example.com did not answer.", None)
    place.repository.faults = []
    place.clock.advance(INTERVAL.total_seconds())
    server.remote_poller.step()
    with place.db.read() as tx:
        [seen] = comparisons.of_project(tx, place.project.id, 10)
    assert seen.sentence == ""
    assert seen.compared_at is not None


def test_a_dead_git_server_holds_up_its_own_place_alone(place: Installation) -> None:
    place.job("a")
    place.job("b", source__url=OTHER, source__repo_key="git.example.com/acme/other")
    server, looks = place.server("one"), {}
    object.__setattr__(server.remote_poller, "give", lambda key, look: looks.setdefault(key, look) is look)
    server.remote_poller.step()
    assert sorted(host for _, host in looks) == ["git.example.com", "github.com"]


def test_an_app_is_deployed_once_for_a_push_that_was_found(place: Installation) -> None:
    one, two = place.job("api"), place.job("worker")
    place.app("shop", one, two)
    server = place.server("one")
    told(place, server, A)
    place.repository.heads["main"] = B
    compare(place, server)
    assert [each.sha for each in place.deployments()] == [A, B]


def test_a_real_git_server_is_compared_with(place: Installation, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "served" / "report")
    first = repository.commit({"report.py": "print(1)\n"})
    with git_server(tmp_path / "served") as served:
        served.user, served.password = "ci", "a token of acme"
        url = served.url("report")
        with place.db.write() as tx:
            fields = {"host": git_host(url), "username": "ci", "kind": "git", "name": "acme"}
            sealed = place.box.seal(served.password, of_credential(place.project.id, 1))
            credential = credentials.create(
                tx, place.project.id, secret=sealed, now=place.clock.now(), **fields
            )
        fields = {
            "source__url": url,
            "source__repo_key": repo_key(url),
            "source__credential_id": credential.id,
        }
        place.job(**fields, build__paths=["docs/"])
        place.job("next", **fields, source__branch="next")
        server = place.server("one")
        checkouts: Any = Checkouts(tmp_path / "checkouts", frozenset({"http"}), 20)
        server.remote_poller.checkouts = checkouts
        object.__setattr__(server.intake, "checkouts", checkouts)
        compare(place, server)
        assert place.builds() == []
        place.push(None, first, url=url)
        server.work()
        repository.commit({"docs/index.md": "Read me"}, "Write [skip ci] somewhere")
        head = repository.commit({"report.py": "print(2)\n"}, "Mend the report")
        repository.git("branch", "next", first)
        served.requests.clear()
        compare(place, server)
        listings = [each for each in served.requests if each.startswith("GET") and "info/refs" in each]
        assert len(listings) <= 6  # one look is one, for both branches, and what was found is fetched
    missed = {each.job: each for each in place.decisions() if "Found by comparing" in each.sentence}
    assert (missed["report"].rule, missed["next"].rule) == ("commit_flag", "missed_push")
    assert [build.sha for build in place.builds()] == [first, first]
    assert missed["report"].inputs["commit"] != head
