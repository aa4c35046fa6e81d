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


class ServerContext:
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
def yard(tmp_path: Path) -> Iterator[ServerContext]:
    yard = ServerContext(tmp_path)
    yield yard
    yard.place.close()


SVC = {"paths": ["svc/**"], "paths_mode": "allow"}
NOTHING: Payload = {"added": [], "modified": [], "removed": []}


def lists(payload: Payload, **files: list[str]) -> Payload:
    """The payload whose last commit names these files and no others."""
    *before, last = payload["commits"]
    return {**payload, "commits": [*before, {**last, **NOTHING, **files}]}


def test_lists_that_are_empty_or_cut_say_nothing(yard: ServerContext) -> None:
    yard.job(**SVC)
    second = yard.repository.commit({"svc/a": "2"})
    assert yard.deliver(lists(yard.payload(yard.first, second)))[:2] == ("built", "push")
    third = yard.repository.commit({"svc/a": "3"})
    names = [f"docs/{number:05}" for number in range(3000)]
    assert yard.deliver(lists(yard.payload(second, third), added=names), "d2")[:2] == ("built", "push")
    yard.repository.git("commit", "--allow-empty", "-m", "Nothing")
    payload = yard.payload(third, yard.repository.head)
    verdict, rule, sentence = yard.deliver(payload, "d3")
    assert (verdict, rule) == ("skipped", "paths")
    assert "changed no file, so none that the path rules (svc/**) let build" in sentence


@pytest.mark.parametrize("count", [2, 26])
def test_commits_that_are_not_listed_count(yard: ServerContext, count: int) -> None:
    yard.job(**SVC)
    yard.repository.commit({"svc/a": "2"})
    for number in range(count - 1):
        last = yard.repository.commit({"docs/b": f"more {number}"})
    payload = yard.payload(yard.first, last)
    payload["commits"] = payload["commits"][max(1, count - 20) :]
    assert yard.deliver(payload)[:2] == ("built", "push")


@pytest.mark.parametrize("build", [{}, {"paths": ["docs/**"]}])
def test_flags_of_commits_that_are_not_listed_count(yard: ServerContext, build: dict[str, Any]) -> None:
    yard.job(**build)
    flagged = yard.repository.commit({"svc/a": "2"}, "[Skip CI] x")
    yard.repository.commit({"svc/a": "3"})
    last = yard.repository.commit({"svc/a": "4"})
    payload = yard.payload(yard.first, last)
    payload["commits"] = payload["commits"][-1:]
    assert yard.deliver(payload) == (
        "skipped",
        "commit_flag",
        f"Commit {flagged[:7]} of the push says [skip ci].",
    )


def test_a_flag_is_no_pattern_and_none_before_the_push_counts(yard: ServerContext) -> None:
    yard.job(commit_flags=["[skip ci]", "-x (.*)"])
    old = yard.repository.commit({"svc/a": "2"}, "old [skip ci]")
    new = yard.repository.commit({"svc/a": "3"}, "s (-x k i p c)")
    assert yard.deliver(yard.payload(old, new, commits=[]))[:2] == ("built", "push")
    last = yard.repository.commit({"svc/a": "4"}, "with -X (.*) in it")
    assert yard.deliver(yard.payload(new, last, commits=[], head_commit=None), "d2")[1] == "commit_flag"


@pytest.mark.parametrize("cut", [{}, {"commits": [], "head_commit": None}])
def test_the_case_of_letters_matters_alike_to_payloads_and_to_git(yard: ServerContext, cut: Payload) -> None:
    """Only that of ASCII: Git knows no other."""
    yard.job(commit_flags=["[stra\N{LATIN SMALL LETTER SHARP S}e]", "[HALT]"])
    other = yard.repository.commit({"svc/a": "2"}, "x [STRASSE]")
    flagged = yard.repository.commit({"svc/a": "3"}, "x [Halt]")
    assert yard.deliver(yard.payload(yard.first, other, **cut))[:2] == ("built", "push")
    assert yard.deliver(yard.payload(other, flagged, **cut), "d2")[:2] == ("skipped", "commit_flag")


def test_what_is_undone_within_a_push_is_no_change(yard: ServerContext) -> None:
    yard.job(**SVC)
    yard.repository.commit({"svc/a": "2"})
    last = yard.repository.commit({"svc/a": "1", "docs/b": "2"})
    verdict, rule, sentence = yard.deliver(yard.payload(yard.first, last))
    assert (verdict, rule) == ("skipped", "paths")
    assert "changed 1 file" in sentence


def test_a_merge_counts_by_what_it_brings(yard: ServerContext) -> None:
    yard.job(**SVC)
    git = yard.repository.git
    git("checkout", "-q", "-b", "side")
    yard.repository.commit({"svc/a": "same"})
    git("checkout", "-q", "main")
    before = yard.repository.commit({"svc/a": "same", "docs/c": "1"})
    git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    assert yard.deliver(yard.payload(before, yard.repository.head))[1] == "paths"


def test_a_file_that_moved_away_is_changed(yard: ServerContext) -> None:
    yard.job(**SVC)
    yard.repository.git("mv", "svc/a", "docs/a")
    last = yard.repository.commit({})
    payload = lists(yard.payload(yard.first, last), modified=["docs/a"])
    assert yard.deliver(payload)[:2] == ("built", "push")


def test_a_forced_push_is_compared_with_what_it_leaves_behind(yard: ServerContext) -> None:
    yard.job(**SVC)
    left = yard.repository.commit({"svc/a": "2"})
    yard.repository.git("reset", "-q", "--hard", yard.first)
    last = yard.repository.commit({"docs/b": "2"})
    yard.repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    assert yard.deliver(yard.payload(left, last))[:2] == ("built", "push")
    other = yard.repository.commit({"docs/b": "3"})
    yard.repository.git("reset", "-q", "--hard", last)
    again = yard.repository.commit({"docs/b": "4"})
    assert yard.deliver(yard.payload(other, again), "d2")[1] == "paths"


def test_where_git_cannot_say_the_push_builds_and_says_so(yard: ServerContext) -> None:
    yard.job(**SVC)
    gone = "1" * 40
    last = yard.repository.commit({"docs/b": "2"})
    payload = {**yard.payload(yard.first, last), "before": gone}
    verdict, rule, sentence = yard.deliver(payload)
    assert (verdict, rule) == ("built", "push")
    assert f"Push of {last[:7]} to main: build 1. Git could not say which files it changes, so it" in sentence
    assert gone[:12] in sentence


def test_a_new_branch_has_nothing_to_be_compared_with(yard: ServerContext) -> None:
    yard.job(**SVC)
    verdict, _, sentence = yard.deliver(yard.payload(None, yard.first))
    assert verdict == "built"
    assert sentence.endswith("so it builds: the branch is new, so there is nothing to compare it with.")


def test_a_branch_made_of_a_commit_with_a_flag_is_skipped(yard: ServerContext) -> None:
    """GitHub lists no commits then, only the head."""
    yard.job()
    flagged = yard.repository.commit({"svc/a": "2"}, "Later [no ci]")
    assert yard.deliver(yard.payload(None, flagged, commits=[]))[1] == "commit_flag"


def test_a_plain_push_of_github_is_decided_without_git(yard: ServerContext) -> None:
    """Its documentation says that all commits are listed; and whatever is skipped anyway asks nobody."""
    yard.url = "https://github.com/acme/report.git"  # not allowed here: asking would be told in the sentence
    yard.job()
    last = yard.repository.commit({"svc/a": "2"})
    assert yard.deliver(yard.payload(yard.first, last))[2] == f"Push of {last[:7]} to main: build 1."
    other = yard.payload(last, yard.first, ref="refs/heads/other", commits=[])
    assert yard.deliver(other, "d2")[1] == "other_branch"
