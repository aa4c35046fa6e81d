"""The rules: does this push build, does this image deploy and start a run? Pure, total, and always with a reason."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from string import ascii_lowercase, ascii_uppercase

from app.domain.comparing import how_found
from app.domain.decisions import Go, Skip, Verdict
from app.domain.errors import Conflict
from app.domain.events import Commit, Push
from app.domain.job.records import Job, Source
from app.domain.job.spec import RunOnImageChange
from app.domain.paths import Matching
from app.domain.pushes import Changes
from app.domain.ref_rules import UNTRUSTED, pushed, skip_for_ref
from app.domain.refs import queued_for

ONLY_PROPOSED = "pull_request"  # the rule by which its image goes nowhere
ONLY_BUILT = "It is built for its status alone: neither deployed nor run."
ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)  # as Git ignores case, which is asked as well


def should_build(
    push: Push,
    source: Source,
    *,
    paused: bool,
    changes: Changes,
    repeated: bool = False,
    built: int | None = None,
    matching: Matching | None = None,
) -> Go | Skip:
    """Return whether a push to `source`'s repository builds it (product rules of continuous integration).

    `changes` are what Git says; what even Git could not say doesn't hold the push back. `repeated` says that the same
    movement of the same branch was already taken for this source, through another hook. `built` is a build of the
    pushed commit, of where the branch was before or later, that somebody asked for meanwhile: what no hook told of is
    not built once more. `matching` knows what was found out about path rules before.
    """
    verdict = (
        skip_for_ref(push, source)
        or _skip_for_switches(source, paused=paused)
        or _skip_for_repetition(push, repeated=repeated)
        or _skip_for_build(push, built)
        or _skip_for_commit_flags([*_commits(push), *changes.flagged], source.build.commit_flags)
        or _by_paths(push, source, changes.files, matching or Matching())
        or _go(push, source, changes)
    )
    if push.found_at is None:
        return verdict
    return replace(
        verdict,
        rule="missed_push" if verdict.rule == "push" else verdict.rule,
        sentence=f"{verdict.sentence} {how_found(push)}",
        inputs={**verdict.inputs, "found_at": push.found_at.isoformat()},
    )


def _go(push: Push, source: Source, changes: Changes) -> Go:
    inputs = {"sha": push.commit, "branch": source.branch}
    if push.branch != source.branch:
        inputs["ref"] = push.ref
    said = f"{pushed(push)}."
    if changes.unknown:
        what = (
            "which files it changes"
            if source.build.paths
            else "whether commits that aren't listed carry a flag"
        )
        said = f"{said} Git could not say {what}, so it builds: {changes.unknown}"
        inputs["unknown"] = changes.unknown
    if push.pull_request is not None:
        untrusted = f" {UNTRUSTED}" if push.pull_request.is_fork else ""
        return Go("pull_request", f"{said} {ONLY_BUILT}{untrusted}", inputs)
    if queued_for(push.ref) is not None:
        return Go("merge_queue", f"{said} {ONLY_BUILT}", inputs)
    if push.is_tag:
        return Go("tag_push", said, inputs)
    return Go("push", said, inputs)


def _commits(push: Push) -> tuple[Commit, ...]:
    """Return the listed commits and the pushed one: a branch that is made of an old commit lists none."""
    head = push.commit
    if head is None or any(commit.sha == head for commit in push.commits):
        return push.commits
    return (*push.commits, Commit(head, push.head_message, ""))


def _skip_for_switches(source: Source, *, paused: bool) -> Skip | None:
    if paused and not source.ci_enabled:
        sentence = "The job is paused and CI is off: resume it and turn CI on to build pushes again."
        return Skip("paused", sentence, {"paused": True, "ci_enabled": False})
    if paused:
        return Skip("paused", "The job is paused: resume it to build pushes again.", {"paused": True})
    if not source.ci_enabled:
        return Skip("ci_off", "CI is off: turn it on to build pushes.", {"ci_enabled": False})
    return None


def _skip_for_repetition(push: Push, *, repeated: bool) -> Skip | None:
    if not repeated:
        return None
    return Skip(
        "same_push",
        f"{pushed(push)} was already taken from another delivery.",
        {"before": push.before, "after": push.after},
        verdict=Verdict.DUPLICATE,
    )


def _skip_for_build(push: Push, built: int | None) -> Skip | None:
    if built is None or push.found_at is None:
        return None
    sentence = f"{pushed(push)}: build {built} of it was asked for already."
    return Skip("already_built", sentence, {"sha": push.after, "build": built})


def _skip_for_commit_flags(commits: Sequence[Commit], flags: Sequence[str]) -> Skip | None:
    for commit in commits:
        for flag in flags:
            if flag.translate(ASCII_LOWER) in commit.message.translate(ASCII_LOWER):
                return Skip(
                    "commit_flag",
                    f"Commit {commit.sha[:7]} of the push says {flag}.",
                    {"commit": commit.sha, "flag": flag},
                )
    return None


def _by_paths(
    push: Push, source: Source, changed_files: frozenset[str] | None, matching: Matching
) -> Go | Skip | None:
    build = source.build
    if not build.paths or changed_files is None:
        return None
    asks = matching.asks_for_build(source.project_id, build.paths, build.paths_mode, changed_files)
    if asks:
        return None
    count = f"{len(changed_files)} file{'s' * (len(changed_files) != 1)}"
    if asks is None:
        return Go(
            "paths_unmatched",
            f"{pushed(push)} changed {count}, too much to match with the path rules in time, so it builds.",
            {"sha": push.commit, "branch": source.branch},
        )
    listed = ", ".join(build.paths)
    if not changed_files:
        sentence = f"{pushed(push)} changed no file, so none that the path rules ({listed}) let build."
    elif build.paths_mode == "ignore":
        sentence = f"{pushed(push)} changed {count}, all ignored by the path rules ({listed})."
    else:
        sentence = f"{pushed(push)} changed {count}, none allowed by the path rules ({listed})."
    inputs = {"paths": list(build.paths), "mode": build.paths_mode, "changed": nsmallest(50, changed_files)}
    return Skip("paths", sentence, inputs)


def require_unpaused(jobs: Sequence[Job], to_do: str, *, confirmed: bool) -> None:
    """Raises Conflict for paused jobs that somebody wants to `run`, `deploy to` or `promote to` without agreeing."""
    paused = [job.name for job in jobs if job.paused]
    if not paused or confirmed:
        return
    who, are, them = ("Job", "is", "it") if len(paused) == 1 else ("Jobs", "are", "them")
    raise Conflict(
        f"{who} {', '.join(paused)} {are} paused: confirm with confirm_paused to {to_do} {them} all the same."
    )


class ImageEvent(enum.StrEnum):
    """What can change the image a job has."""

    BUILD_SUCCEEDED = "build_succeeded"
    BUILD_FAILED = "build_failed"  # or cancelled
    PROMOTED = "promoted"
    DEPLOYED = "deployed"  # in the UI or by the API


@dataclass(frozen=True)
class ImageChange:
    """The verdict on an image: whether it moves and whether a run starts; `rule` and `sentence` say why."""

    moves: bool
    runs: bool
    rule: str
    sentence: str
    is_available: bool = False  # there is an image that stays where it is

    @property
    def verdict(self) -> Verdict:
        if self.runs:
            return Verdict.STARTED
        if self.is_available:
            return Verdict.AVAILABLE
        return Verdict.DEPLOYED if self.moves else Verdict.SKIPPED


RULE_NAMES = {
    RunOnImageChange.NEVER: "never",
    RunOnImageChange.CD_PROMOTE: "CD & promotion",
    RunOnImageChange.ALWAYS: "always",
}


def on_image_change(
    event: ImageEvent, job: Job, *, what: str, overtaken_by: str | None = None
) -> ImageChange:
    """The truth table of run on image change. The event decides, not the bytes.

    `what` names the event in a sentence ("Build 7 of 1a2b3c4 succeeded"). `overtaken_by` names the newer commit that is
    deployed already, if there is one: an old slow build never wins over it.
    """
    if event is ImageEvent.BUILD_FAILED:
        stays = "what is deployed stays as it is" if job.deployed else "nothing is deployed"
        return ImageChange(moves=False, runs=False, rule="build_failed", sentence=f"{what}: {stays}.")
    held = _why_image_stays(job, overtaken_by) if event is ImageEvent.BUILD_SUCCEEDED else None
    if held is not None:
        return stays_available(*held, what=what)
    switch = "CD is on" if event is ImageEvent.BUILD_SUCCEEDED else "the image moves"
    if job.paused:
        return ImageChange(
            moves=True, runs=False, rule="paused", sentence=f"{what}; the job is paused, so nothing runs."
        )
    if job.schedule_inactive:
        why = "the schedule is inactive, so nothing starts by itself."
        return ImageChange(moves=True, runs=False, rule="inactive", sentence=f"{what}, {switch}; {why}")
    rule = job.run_on_image_change
    runs = rule is RunOnImageChange.ALWAYS or (
        rule is RunOnImageChange.CD_PROMOTE and event is not ImageEvent.DEPLOYED
    )
    tail = "" if runs else ", so nothing runs"
    sentence = f"{what}, {switch} and run on image change is {RULE_NAMES[rule]}{tail}."
    return ImageChange(moves=True, runs=runs, rule=f"run_on_image_change:{rule}", sentence=sentence)


def stays_available(rule: str, why: str, *, what: str) -> ImageChange:
    """The verdict on a build that continuous delivery leaves alone, for somebody to deploy, or for nobody."""
    if rule == ONLY_PROPOSED:
        sentence = f"{what}: {why}, neither deployed nor run."
        return ImageChange(moves=False, runs=False, rule=rule, sentence=sentence, is_available=True)
    sentence = f"{what}: {why}, so the build is only available; deploy it manually to use it."
    return ImageChange(moves=False, runs=False, rule=rule, sentence=sentence, is_available=True)


def _why_image_stays(job: Job, overtaken_by: str | None) -> tuple[str, str] | None:
    """Return why a build's image stays; an explicit deploy or promotion moves it whatever the switches say."""
    if job.paused:
        return "paused", "the job is paused"
    if not job.cd_enabled:
        return "cd_off", "CD is off"
    if overtaken_by is not None:
        return "older_build", f"the newer commit {overtaken_by} is deployed already"
    return None
