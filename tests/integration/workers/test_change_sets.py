"""What a push brings is what Git says between its two ends, whatever its payload lists; delivery and plan agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.checkout import Checkouts
from app.commands.dry_run import DryRun, Effect
from app.domain.events import repo_key
from app.domain.lanes import lane_of
from app.forges.github import GitHub
from app.store import deliveries
from app.store.deliveries import NewDelivery
from app.workers.intake import Intake
from tests.support.installation import Installation
from tests.support.payloads import push_payload
from tests.support.repositories import Repository

Payload = dict[str, Any]


class Pushes:
    """A repository, its job, and the real Git between them."""

    def __init__(self, root: Path) -> None:
        self.place = Installation(root / "place")
        self.repository = Repository(root / "repository")
        self.first = self.repository.commit({"svc/a": "1", "docs/b": "1"})
        self.checkouts = Checkouts(root / "mirrors", frozenset({"file", "http"}))
        self.url = self.repository.url
        place = self.place
        self.intake = Intake(
            place.db,
            place.clock,
            place.names,
            "one",
            {"github": GitHub()},
            self.checkouts,
            place.box,
            lambda _, work: work(),
        )

    def job(self, **build: Any) -> None:
        settings = {f"build__{name}": value for name, value in build.items()}
        self.place.job(source__url=self.url, source__repo_key=repo_key(self.url), **settings)

    def payload(self, before: str | None, after: str, **changes: Any) -> Payload:
        payload = push_payload(self.repository.path, before=before, after=after, clone_url=self.url)
        return {**payload, **changes}

    def deliver(self, payload: Payload, guid: str = "d1") -> tuple[str, str, str]:
        """Verdict, rule and sentence of the decision; the rehearsal of the delivery says the same before."""
        lane = lane_of([(self.place.project.id, repo_key(self.url))])
        scopes = (f"project:{self.place.project.id}",)
        body, now = json.dumps(payload).encode(), self.place.clock.now()
        deliveries.record(
            self.place.db,
            [NewDelivery("github", guid, "push", False, scopes, body, "acme/report", now, lane)],
        )
        planned = self.plan(guid)
        while self.intake.step():
            pass
        (decision,) = [each for each in self.place.decisions() if each.event_id == guid]
        assert (decision.verdict, decision.rule) == (planned.build.verdict, planned.build.rule)  # type: ignore[union-attr]
        return decision.verdict, decision.rule, decision.sentence

    def plan(self, guid: str) -> Effect:
        place = self.place
        dry_run = DryRun(place.db, place.clock, {"github": GitHub()}, self.checkouts, place.box)
        (effect,) = dry_run.of_delivery(place.delivery(guid), None)
        return effect


@pytest.fixture
def pushes(tmp_path: Path) -> Iterator[Pushes]:
    pushes = Pushes(tmp_path)
    yield pushes
    pushes.place.close()


SVC = {"paths": ["svc/**"], "paths_mode": "allow"}
NOTHING: Payload = {"added": [], "modified": [], "removed": []}


def lists(payload: Payload, **files: list[str]) -> Payload:
    """The payload whose last commit names these files and no others."""
    *before, last = payload["commits"]
    return {**payload, "commits": [*before, {**last, **NOTHING, **files}]}


def test_lists_that_are_empty_or_cut_say_nothing(pushes: Pushes) -> None:
    pushes.job(**SVC)
    second = pushes.repository.commit({"svc/a": "2"})
    assert pushes.deliver(lists(pushes.payload(pushes.first, second)))[:2] == ("built", "push")
    third = pushes.repository.commit({"svc/a": "3"})
    names = [f"docs/{number:05}" for number in range(3000)]
    assert pushes.deliver(lists(pushes.payload(second, third), added=names), "d2")[:2] == ("built", "push")
    pushes.repository.git("commit", "--allow-empty", "-m", "Nothing")
    payload = pushes.payload(third, pushes.repository.head)
    verdict, rule, sentence = pushes.deliver(payload, "d3")
    assert (verdict, rule) == ("skipped", "paths")
    assert "changed no file, so none that the path rules (svc/**) let build" in sentence


@pytest.mark.parametrize("count", [2, 26])
def test_commits_that_are_not_listed_count(pushes: Pushes, count: int) -> None:
    pushes.job(**SVC)
    pushes.repository.commit({"svc/a": "2"})
    for number in range(count - 1):
        last = pushes.repository.commit({"docs/b": f"more {number}"})
    payload = pushes.payload(pushes.first, last)
    payload["commits"] = payload["commits"][max(1, count - 20) :]
    assert pushes.deliver(payload)[:2] == ("built", "push")


@pytest.mark.parametrize("build", [{}, {"paths": ["docs/**"]}])
def test_flags_of_commits_that_are_not_listed_count(pushes: Pushes, build: dict[str, Any]) -> None:
    pushes.job(**build)
    flagged = pushes.repository.commit({"svc/a": "2"}, "[Skip CI] x")
    pushes.repository.commit({"svc/a": "3"})
    last = pushes.repository.commit({"svc/a": "4"})
    payload = pushes.payload(pushes.first, last)
    payload["commits"] = payload["commits"][-1:]
    assert pushes.deliver(payload) == (
        "skipped",
        "commit_flag",
        f"Commit {flagged[:7]} of the push says [skip ci].",
    )


def test_a_flag_is_no_pattern_and_none_before_the_push_counts(pushes: Pushes) -> None:
    pushes.job(commit_flags=["[skip ci]", "-x (.*)"])
    old = pushes.repository.commit({"svc/a": "2"}, "old [skip ci]")
    new = pushes.repository.commit({"svc/a": "3"}, "s (-x k i p c)")
    assert pushes.deliver(pushes.payload(old, new, commits=[]))[:2] == ("built", "push")
    last = pushes.repository.commit({"svc/a": "4"}, "with -X (.*) in it")
    assert pushes.deliver(pushes.payload(new, last, commits=[], head_commit=None), "d2")[1] == "commit_flag"


@pytest.mark.parametrize("cut", [{}, {"commits": [], "head_commit": None}])
def test_the_case_of_letters_matters_alike_to_payloads_and_to_git(pushes: Pushes, cut: Payload) -> None:
    """Only that of ASCII: Git knows no other."""
    pushes.job(commit_flags=["[stra\N{LATIN SMALL LETTER SHARP S}e]", "[HALT]"])
    other = pushes.repository.commit({"svc/a": "2"}, "x [STRASSE]")
    flagged = pushes.repository.commit({"svc/a": "3"}, "x [Halt]")
    assert pushes.deliver(pushes.payload(pushes.first, other, **cut))[:2] == ("built", "push")
    assert pushes.deliver(pushes.payload(other, flagged, **cut), "d2")[:2] == ("skipped", "commit_flag")


def test_what_is_undone_within_a_push_is_no_change(pushes: Pushes) -> None:
    pushes.job(**SVC)
    pushes.repository.commit({"svc/a": "2"})
    last = pushes.repository.commit({"svc/a": "1", "docs/b": "2"})
    verdict, rule, sentence = pushes.deliver(pushes.payload(pushes.first, last))
    assert (verdict, rule) == ("skipped", "paths")
    assert "changed 1 file" in sentence


def test_a_merge_counts_by_what_it_brings(pushes: Pushes) -> None:
    pushes.job(**SVC)
    git = pushes.repository.git
    git("checkout", "-q", "-b", "side")
    pushes.repository.commit({"svc/a": "same"})
    git("checkout", "-q", "main")
    before = pushes.repository.commit({"svc/a": "same", "docs/c": "1"})
    git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    assert pushes.deliver(pushes.payload(before, pushes.repository.head))[1] == "paths"


def test_a_file_that_moved_away_is_changed(pushes: Pushes) -> None:
    pushes.job(**SVC)
    pushes.repository.git("mv", "svc/a", "docs/a")
    last = pushes.repository.commit({})
    payload = lists(pushes.payload(pushes.first, last), modified=["docs/a"])
    assert pushes.deliver(payload)[:2] == ("built", "push")


def test_a_forced_push_is_compared_with_what_it_leaves_behind(pushes: Pushes) -> None:
    pushes.job(**SVC)
    left = pushes.repository.commit({"svc/a": "2"})
    pushes.repository.git("reset", "-q", "--hard", pushes.first)
    last = pushes.repository.commit({"docs/b": "2"})
    pushes.repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    assert pushes.deliver(pushes.payload(left, last))[:2] == ("built", "push")
    other = pushes.repository.commit({"docs/b": "3"})
    pushes.repository.git("reset", "-q", "--hard", last)
    again = pushes.repository.commit({"docs/b": "4"})
    assert pushes.deliver(pushes.payload(other, again), "d2")[1] == "paths"


def test_where_git_cannot_say_the_push_builds_and_says_so(pushes: Pushes) -> None:
    pushes.job(**SVC)
    gone = "1" * 40
    last = pushes.repository.commit({"docs/b": "2"})
    payload = {**pushes.payload(pushes.first, last), "before": gone}
    verdict, rule, sentence = pushes.deliver(payload)
    assert (verdict, rule) == ("built", "push")
    assert f"Push of {last[:7]} to main: build 1. Git could not say which files it changes, so it" in sentence
    assert gone[:12] in sentence


def test_a_new_branch_has_nothing_to_be_compared_with(pushes: Pushes) -> None:
    pushes.job(**SVC)
    verdict, _, sentence = pushes.deliver(pushes.payload(None, pushes.first))
    assert verdict == "built"
    assert sentence.endswith("so it builds: the branch is new, so there is nothing to compare it with.")


def test_a_branch_made_of_a_commit_with_a_flag_is_skipped(pushes: Pushes) -> None:
    """GitHub lists no commits then, only the head."""
    pushes.job()
    flagged = pushes.repository.commit({"svc/a": "2"}, "Later [no ci]")
    assert pushes.deliver(pushes.payload(None, flagged, commits=[]))[1] == "commit_flag"


def test_a_plain_push_of_github_is_decided_without_git(pushes: Pushes) -> None:
    """Its documentation says that all commits are listed; and whatever is skipped anyway asks nobody."""
    pushes.url = (
        "https://github.com/acme/report.git"  # not allowed here: asking would be told in the sentence
    )
    pushes.job()
    last = pushes.repository.commit({"svc/a": "2"})
    assert pushes.deliver(pushes.payload(pushes.first, last))[2] == f"Push of {last[:7]} to main: build 1."
    other = pushes.payload(last, pushes.first, ref="refs/heads/other", commits=[])
    assert pushes.deliver(other, "d2")[1] == "other_branch"
