"""Tags, pull requests and merge queues as sources of builds: off by default, and what each may do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.commands.approvals import approve_pull_request
from app.domain.builds import BuildStatus
from app.domain.errors import Conflict, InvalidValue
from app.domain.ref_rules import LABEL
from app.domain.sealing import Owner
from app.store import commit_statuses, deliveries, jobs
from app.store.deliveries import NewDelivery
from tests.support.fakes import commit, image_of
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.senders import SENDERS

A, B, C, D = (commit(letter) for letter in "abcd")
ONLY_BUILT = "It is built for its status alone: neither deployed nor run."


def propose(
    place: Installation,
    sha: str = B,
    guid: str = "p1",
    *,
    fork: bool = True,
    action: str = "opened",
    **more: Any,
) -> str:
    """An event of pull request 7 of the job's repository arrives."""
    payload = SENDERS["github"].load("pull_request") | {"action": action, **more}
    request = payload["pull_request"]
    request["head"]["sha"] = sha
    if not fork:
        request["head"]["repo"] = request["base"]["repo"]
    lane = f"{place.project.id}:github.com/acme/report"
    scopes = (f"project:{place.project.id}",)
    body = json.dumps(payload).encode()
    deliveries.record(
        place.db,
        [
            NewDelivery(
                "github", guid, "pull_request", False, scopes, body, "acme/report", place.clock.now(), lane
            )
        ],
    )
    return guid


def env(place: Installation) -> dict[str, object]:
    sealed = place.box.seal("hushed-hushed", Owner.group(place.project.id, 1).variable("TOKEN"))
    return {
        "PLAIN": {"value": "seen", "scope": "both"},
        "TOKEN": {"value": sealed, "secret": True, "scope": "both"},
    }


def sentences(place: Installation) -> list[str]:
    return [each.sentence for each in place.decisions()]


# tags


def test_tags_do_not_build_by_default(place: Installation, server: Server) -> None:
    place.job()
    place.push(None, A, ref="refs/tags/v1.0")
    server.work()
    (decision,) = place.decisions()
    assert (decision.rule, decision.sentence) == ("tag", "Push of refs/tags/v1.0: tags don't build.")
    assert place.builds() == []


def test_a_tag_that_matches_is_built_deployed_and_run(place: Installation, server: Server) -> None:
    job = place.job(build__tags="v*", run_on_image_change="always")
    place.push(A, B, guid="g1")
    server.work()
    place.push(None, A, ref="refs/tags/v1.0", guid="g2")
    place.push(None, A, ref="refs/tags/nightly", guid="g3")
    server.work()
    build = place.builds()[-1]
    assert (build.ref, build.sha, build.status) == ("refs/tags/v1.0", A, BuildStatus.SUCCEEDED)
    decided = sentences(place)
    assert any(each.startswith(f"Push of {A[:7]} of refs/tags/v1.0: build {build.id}.") for each in decided)
    assert "Push of refs/tags/nightly: only tags that match v* build." in decided
    assert {"tag_push", "tag"} <= {each.rule for each in place.decisions()}
    deployed = place.job_now(job).deployed
    assert deployed is not None
    assert (deployed.build_id, deployed.position) == (build.id, build.position)
    place.push(A, None, ref="refs/tags/v1.0", guid="g4")
    server.work()
    assert sentences(place)[-1] == "Tag v1.0 was deleted: there is nothing to build."
    place.push(B, C, guid="g5")
    server.work()
    assert place.job_now(job).deployed.sha == C  # type: ignore[union-attr]


def test_an_annotated_tag_builds_its_commit(place: Installation, server: Server) -> None:
    place.job(build__tags="*")
    object_ = commit("tag object")
    place.push(None, object_, ref="refs/tags/v2", target=B)
    server.work()
    (build,) = place.builds()
    assert build.sha == B


def test_an_old_slow_tag_does_not_win_over_a_newer_one(place: Installation, server: Server) -> None:
    job = place.job(build__tags="v*")
    for number, sha in enumerate((A, B)):
        place.push(None, sha, ref=f"refs/tags/v{number}", guid=f"g{number}")
    while server.intake.step():
        pass
    older, newer = place.builds()
    with place.db.write() as tx:
        jobs.deploy(tx, job.id, _deployed(newer.id, B, place))
    server.work()
    assert place.job_now(job).deployed.sha == B  # type: ignore[union-attr]
    assert any(f"the newer commit {B[:7]} is deployed already" in each for each in sentences(place))
    assert older.id < newer.id


def test_a_slow_build_of_the_branch_does_not_take_back_what_a_later_tag_deployed(
    place: Installation, server: Server
) -> None:
    job = place.job(build__tags="v*")
    place.push(None, A, guid="g1")
    server.intake.step()
    place.backend.before_end[A].append(lambda _stop: _push_tag(place, C))
    server.work()
    slow, tagged = place.builds()
    assert (slow.sha, tagged.sha, tagged.status) == (A, C, BuildStatus.SUCCEEDED)
    assert place.job_now(job).deployed.build_id == tagged.id  # type: ignore[union-attr]
    (skipped,) = [each for each in place.decisions() if each.rule == "older_build"]
    assert (skipped.build_id, f"the newer commit {C[:7]} is deployed already" in skipped.sentence) == (
        slow.id,
        True,
    )


def test_a_slow_build_of_the_branch_is_deployed_after_a_tag_of_what_the_branch_had_before(
    place: Installation, server: Server
) -> None:
    job = place.job(build__tags="v*")
    place.push(None, A, guid="g1")
    server.work()
    place.push(A, B, guid="g2")
    server.intake.step()
    place.backend.before_end[B].append(lambda _stop: _push_tag(place, A))
    server.work()
    assert [each.ref for each in place.builds()][-1] == "refs/tags/v1"
    assert place.job_now(job).deployed.sha == B  # type: ignore[union-attr]


def _push_tag(place: Installation, sha: str) -> None:
    """While another build goes on, which the other server is at."""
    place.push(None, sha, ref="refs/tags/v1", guid="tag")
    other = place.server("two", alone=False)
    assert other.intake.step()
    assert other.builder.step()


def _deployed(build_id: int, sha: str, place: Installation) -> Any:
    from app.domain.job.records import Deployed

    return Deployed(image_of(sha), image_of(sha), build_id, sha, "", place.clock.now())


def test_a_tag_obeys_flags_and_the_paths_it_can_not_be_compared_by(
    place: Installation, server: Server
) -> None:
    place.job(build__tags="*", build__paths=["docs/"])
    place.push(None, B, ref="refs/tags/v1", guid="g1")
    place.push(None, C, ref="refs/tags/v2", messages=["Words [skip ci]"], guid="g2")
    server.work()
    decided = sentences(place)
    assert decided[0].endswith(
        "Git could not say which files it changes, so it builds: a tag is compared with nothing."
    )
    assert f"Commit {C[:7]} of the push says [skip ci]." in decided


# pull requests


def test_pull_requests_do_not_build_by_default(place: Installation, server: Server) -> None:
    place.job()
    propose(place, fork=False)
    server.work()
    (decision,) = place.decisions()
    assert decision.rule == "pull_request"
    assert decision.sentence == f"Pull request 7 at {B[:7]}: pull requests don't build."


def test_one_of_the_repository_is_built_with_its_secrets_and_goes_no_further(
    place: Installation, server: Server
) -> None:
    job = place.job(build__pull_requests=True, env=env(place), run_on_image_change="always")
    propose(place, fork=False)
    server.work()
    (build,) = place.builds()
    assert (build.ref, build.sha, build.status) == ("refs/pull/7/head", B, BuildStatus.SUCCEEDED)
    assert place.backend.requests[0].secrets == {"TOKEN": b"hushed-hushed"}
    assert sentences(place) == [
        f"Pull request 7 at {B[:7]}: build {build.id}. {ONLY_BUILT}",
        (
            f"Build {build.id} of {B[:7]} succeeded: pull request 7 is built for its status alone, neither deployed"
            " nor run."
        ),
    ]
    assert place.job_now(job).deployed is None
    assert place.runs() == []


def test_one_for_another_branch_is_left_alone(place: Installation, server: Server) -> None:
    place.job(build__pull_requests=True, source__branch="next")
    propose(place, fork=False)
    server.work()
    assert sentences(place) == [f"Pull request 7 at {B[:7]} is for main: only next is tracked."]


def test_one_of_a_fork_waits_for_an_approval_and_then_gets_no_secrets(
    place: Installation, server: Server
) -> None:
    place.job(build__pull_requests=True, env=env(place), build__submodules=True, build__lfs=True)
    guid = propose(place)
    server.work()
    assert [each.rule for each in place.decisions()] == ["fork"]
    assert sentences(place) == [
        (
            f"Pull request 7 at {B[:7]} comes from a fork: it builds once somebody approves it on the page of"
            f" deliveries, or sets the label {LABEL}."
        )
    ]
    with place.db.write() as tx:
        approve_pull_request(tx, deliveries.find(tx, guid), "ada")
    server.work()
    (build,) = place.builds()
    assert build.trigger.is_fork
    assert (build.config.submodules, build.config.lfs) == (False, False)
    (request,) = place.backend.requests
    assert (request.secrets, request.logins) == ({}, {})
    assert request.build_args["PLAIN"] == "seen"
    assert sentences(place)[1] == (
        f"Pull request 7 at {B[:7]}: build {build.id}. {ONLY_BUILT} As it comes from a fork it gets no secrets,"
        " submodules or LFS files, and shares no build cache."
    )
    assert place.delivery(guid).approved_by == "ada"
    with (
        place.db.write() as tx,
        pytest.raises(Conflict, match=r"Delivery p1 can't be approved: it is approved already\."),
    ):
        approve_pull_request(tx, deliveries.find(tx, guid), "eve")
    propose(place, C, "p2", action="synchronize")
    server.work()
    assert sentences(place)[-1].startswith(f"Pull request 7 at {C[:7]} comes from a fork")


def test_builds_of_forks_share_no_cache_with_any_other(place: Installation, server: Server) -> None:
    place.job(build__pull_requests=True)
    place.push(A, B, guid="g1")
    propose(place, C, "p1", action="labeled", label={"name": LABEL})
    propose(place, D, "p2", action="labeled", label={"name": LABEL})
    propose(place, A, "p3", fork=False)
    server.work()
    ours, one, other, own = (each.scope for each in place.backend.requests)
    assert ours == own
    assert len({ours, one, other}) == 3


def test_the_label_allows_the_commit_that_is_there_then(place: Installation, server: Server) -> None:
    place.job(build__pull_requests=True)
    propose(place, guid="p1")
    propose(place, guid="p2", action="labeled", label={"name": LABEL})
    server.work()
    assert [each.sha for each in place.builds()] == [B]
    propose(place, guid="p3", action="reopened", fork=False)
    server.work()
    assert sentences(place)[-1] == f"Pull request 7 at {B[:7]} was already taken from another delivery."


def test_only_pull_requests_that_were_decided_can_be_approved(place: Installation, server: Server) -> None:
    place.job()
    guid = place.push(A, B)
    server.work()
    with (
        place.db.write() as tx,
        pytest.raises(Conflict, match=r"can't be approved: it tells of no pull request that was decided\."),
    ):
        approve_pull_request(tx, deliveries.find(tx, guid), "ada")


def test_a_build_of_a_pull_request_is_neither_deployed_nor_run_by_hand(
    place: Installation, server: Server
) -> None:
    from app.commands.runs import build_of_job

    job = place.job(build__pull_requests=True)
    propose(place, fork=False)
    server.work()
    (build,) = place.builds()
    with place.db.read() as tx, pytest.raises(InvalidValue) as refused:
        build_of_job(tx, place.job_now(job), build.id)
    assert str(refused.value) == (
        f"build must be one of a branch or a tag; build {build.id} is of pull request 7, which is built for its"
        " status alone."
    )


def test_an_app_is_not_deployed_and_no_flow_starts(place: Installation, server: Server) -> None:
    job = place.job(build__pull_requests=True)
    place.app("shop", job)
    place.flow({"name": "ready", "type": "approval"}, on_push=job)
    propose(place, fork=False)
    server.work()
    assert place.deployments() == []
    assert [each.verdict for each in place.decisions()] == ["built", "available"]


@pytest.mark.parametrize(("changed", "builds"), [({"docs/a.md", "main.py"}, 1), ({"main.py"}, 0), (set(), 0)])
def test_path_rules_hold_for_what_a_pull_request_changes_since_it_left_its_branch(
    place: Installation, server: Server, changed: set[str], builds: int
) -> None:
    place.job(build__pull_requests=True, build__paths=["docs/"], build__paths_mode="allow")
    place.repository.heads["main"] = C
    place.repository.merge_bases[C, B] = A
    place.repository.differing[A, B] = frozenset(changed)
    propose(place, fork=False)
    server.work()
    assert len(place.builds()) == builds
    said = {
        2: "Pull request 7 at e9d71f5: build 1.",
        1: "Pull request 7 at e9d71f5 changed 1 file, none allowed by the path rules (docs/).",
        0: "Pull request 7 at e9d71f5 changed no file, so none that the path rules (docs/) let build.",
    }
    assert sentences(place)[0].startswith(said[len(changed)])


def test_a_pull_request_that_can_not_be_compared_is_built(place: Installation, server: Server) -> None:
    place.job(build__pull_requests=True, build__paths=["docs/"])
    place.repository.heads["main"] = C
    propose(place, fork=False)
    server.work()
    assert "it builds: the pull request and its branch have no commit in common." in sentences(place)[0]


def test_a_pull_request_that_needs_no_build_is_told_so(place: Installation, server: Server) -> None:
    place.job(build__pull_requests=True, build__paths=["docs/"], build__paths_mode="allow")
    place.repository.heads["main"] = C
    place.repository.merge_bases[C, B] = A
    place.repository.differing[A, B] = frozenset({"main.py"})
    propose(place, fork=False)
    server.work()
    propose(place, D, "p2", fork=True)
    server.work()
    with place.db.read() as tx:
        (told,) = commit_statuses.of_commit(tx, place.project.id, B)
        assert commit_statuses.of_commit(tx, place.project.id, D) == [], "it waits for an approval"
    assert (told.build_id, "none allowed by the path rules" in told.noted) == (None, True)


def test_what_changes_no_commit_of_a_pull_request_is_no_push(place: Installation, server: Server) -> None:
    place.job(build__pull_requests=True)
    guid = propose(place, action="closed")
    server.work()
    assert place.delivery(guid).status == "failed"
    assert place.delivery(guid).sentence == (
        "The payload tells of nothing that changes what a pull request would build."
    )


# merge queues


def test_an_entry_of_the_merge_queue_is_built_for_its_status(place: Installation, server: Server) -> None:
    ref = f"refs/heads/gh-readonly-queue/main/pr-7-{A}"
    job = place.job(build__pull_requests=True, run_on_image_change="always")
    place.job("other")
    place.push(None, B, ref=ref)
    server.work()
    (build,) = place.builds()
    assert build.ref == ref
    assert place.job_now(job).deployed is None
    decided = sentences(place)
    assert f"Push of {B[:7]} to gh-readonly-queue/main/pr-7-{A}: only main is tracked." in decided
    assert any(each.endswith(ONLY_BUILT) for each in decided)
    assert "merge_queue" in {each.rule for each in place.decisions()}
    assert any(
        "pull request 7 in the merge queue of main is built for its status alone, neither deployed nor run."
        in each
        for each in decided
    )
