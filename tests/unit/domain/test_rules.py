"""The rules: what a push builds, what an image change moves and runs, and why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.decisions import Go, Skip, Verdict
from app.domain.events import Commit, Push, RepositoryRef
from app.domain.job.records import Job, Source
from app.domain.job.spec import (
    DEFAULT_COMMIT_FLAGS,
    BuildConfig,
    JobKind,
    JobSpec,
    RunOnImageChange,
    RunSpec,
    ScheduleSettings,
)
from app.domain.job.variables import EnvValue
from app.domain.pushes import Changes
from app.domain.rules import ImageEvent, on_image_change, should_build

OLD, NEW = "a" * 40, "b" * 40
SECRET = "hunter2-is-secret"

PUSH = Push(
    forge="github",
    repository=RepositoryRef("acme/report", ("https://github.com/acme/report",)),
    ref="refs/heads/main",
    before=OLD,
    after=NEW,
    deleted=False,
    created=False,
    forced=False,
    commits=(Commit(NEW, "Change", "Ada"),),
    head_message="Change",
    changed_files=None,
    pusher="ada",
    compare_url="",
)
SOURCE = Source(1, 1, None, "https://github.com/acme/report", "github.com/acme/report", "main", BuildConfig())


def job(rule: str = "always", *, cd: bool = True, paused: bool = False, inactive: bool = False) -> Job:
    return Job(
        id=1,
        project_id=1,
        project="reports",
        name="report",
        spec=JobSpec(
            "report",
            cd_enabled=cd,
            run_on_image_change=RunOnImageChange(rule),
            kind=JobKind.CRON,
            schedule=ScheduleSettings("0 0 * * *", active=not inactive),
            run=RunSpec(env={"TOKEN": EnvValue(SECRET, secret=True)}),
            paused=paused,
        ),
        source=SOURCE,
    )


# what an image change moves and runs: every cell of the table, written out

# event, CD on, paused, inactive: whether the image moves, and what runs under never, cd-promote, always
TABLE = """
build_succeeded  cd     -       -         moves   -    run  run
build_succeeded  cd     -       inactive  moves   -    -    -
build_succeeded  cd     paused  -         stays   -    -    -
build_succeeded  cd     paused  inactive  stays   -    -    -
build_succeeded  no-cd  -       -         stays   -    -    -
build_succeeded  no-cd  -       inactive  stays   -    -    -
build_succeeded  no-cd  paused  -         stays   -    -    -
build_succeeded  no-cd  paused  inactive  stays   -    -    -
build_failed     cd     -       -         stays   -    -    -
build_failed     cd     -       inactive  stays   -    -    -
build_failed     cd     paused  -         stays   -    -    -
build_failed     cd     paused  inactive  stays   -    -    -
build_failed     no-cd  -       -         stays   -    -    -
build_failed     no-cd  -       inactive  stays   -    -    -
build_failed     no-cd  paused  -         stays   -    -    -
build_failed     no-cd  paused  inactive  stays   -    -    -
promoted         cd     -       -         moves   -    run  run
promoted         cd     -       inactive  moves   -    -    -
promoted         cd     paused  -         moves   -    -    -
promoted         cd     paused  inactive  moves   -    -    -
promoted         no-cd  -       -         moves   -    run  run
promoted         no-cd  -       inactive  moves   -    -    -
promoted         no-cd  paused  -         moves   -    -    -
promoted         no-cd  paused  inactive  moves   -    -    -
deployed         cd     -       -         moves   -    -    run
deployed         cd     -       inactive  moves   -    -    -
deployed         cd     paused  -         moves   -    -    -
deployed         cd     paused  inactive  moves   -    -    -
deployed         no-cd  -       -         moves   -    -    run
deployed         no-cd  -       inactive  moves   -    -    -
deployed         no-cd  paused  -         moves   -    -    -
deployed         no-cd  paused  inactive  moves   -    -    -
"""
CELLS = [
    (event, rule, cd == "cd", paused == "paused", inactive == "inactive", moves == "moves", runs == "run")
    for event, cd, paused, inactive, moves, *row in map(str.split, TABLE.strip().splitlines())
    for rule, runs in zip(("never", "cd-promote", "always"), row, strict=True)
]


def test_the_table_has_every_cell() -> None:
    assert len({cell[:5] for cell in CELLS}) == len(ImageEvent) * len(RunOnImageChange) * 2**3


@pytest.mark.parametrize(("event", "rule", "cd", "paused", "inactive", "moves", "runs"), CELLS)
def test_image_change(
    event: str, rule: str, cd: bool, paused: bool, inactive: bool, moves: bool, runs: bool
) -> None:
    change = on_image_change(
        ImageEvent(event), job(rule, cd=cd, paused=paused, inactive=inactive), what="Build 7 of 1a2b3c4 ended"
    )
    assert (change.moves, change.runs) == (moves, runs)
    built = event == ImageEvent.BUILD_SUCCEEDED
    stays = Verdict.AVAILABLE if built else Verdict.SKIPPED
    assert change.verdict is (Verdict.STARTED if runs else Verdict.DEPLOYED if moves else stays)
    assert is_sentence(change.sentence)
    assert change.sentence.startswith("Build 7 of 1a2b3c4 ended")
    assert change.rule


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"paused": True, "cd": False}, "paused"),
        ({"cd": False}, "cd_off"),
        ({}, "older_build"),
        ({"inactive": True}, "older_build"),
    ],
)
def test_why_a_build_that_was_overtaken_stays(changes: dict[str, bool], rule: str) -> None:
    change = on_image_change(
        ImageEvent.BUILD_SUCCEEDED, job(**changes), what="Build 7 ended", overtaken_by="1a2b3c4"
    )
    assert (change.moves, change.runs, change.rule) == (False, False, rule)


@pytest.mark.parametrize("event", [ImageEvent.PROMOTED, ImageEvent.DEPLOYED])
def test_what_somebody_chose_is_never_overtaken(event: ImageEvent) -> None:
    assert on_image_change(event, job(), what="Deployed", overtaken_by="1a2b3c4").moves


def is_sentence(text: str) -> bool:
    return text.endswith(".") and text[0].isupper() and "\n" not in text and ".." not in text


# what a push builds


def verdict(
    push: Push = PUSH,
    *,
    paused: bool = False,
    ci: bool = True,
    files: set[str] | None = None,
    repeated: bool = False,
    **build: Any,
) -> Go | Skip:
    source = replace(SOURCE, ci_enabled=ci, build=BuildConfig(**build))
    changed = None if files is None else frozenset(files)
    return should_build(push, source, paused=paused, changes=Changes(changed), repeated=repeated)


def saying(*messages: str) -> Push:
    return replace(PUSH, commits=tuple(Commit(f"{n:040x}", text, "Ada") for n, text in enumerate(messages)))


DELETED = replace(PUSH, after=None, deleted=True, commits=())


def test_a_push_builds() -> None:
    assert verdict() == Go("push", "Push of bbbbbbb to main.", {"sha": NEW, "branch": "main"})


@pytest.mark.parametrize(
    ("skip", "rule", "sentence"),
    [
        (verdict(replace(PUSH, ref="refs/tags/v1")), "tag", "Push of refs/tags/v1: tags don't build."),
        (
            verdict(replace(PUSH, ref="refs/heads/x")),
            "other_branch",
            "Push of bbbbbbb to x: only main is tracked.",
        ),
        (verdict(DELETED), "deleted_ref", "Branch main was deleted: there is nothing to build."),
        (verdict(paused=True), "paused", "The job is paused: resume it to build pushes again."),
        (verdict(ci=False), "ci_off", "CI is off: turn it on to build pushes."),
        (
            verdict(repeated=True),
            "same_push",
            "Push of bbbbbbb to main was already taken from another delivery.",
        ),
        (
            verdict(saying("Work [skip ci]")),
            "commit_flag",
            "Commit 0000000 of the push says [skip ci].",
        ),
        (
            verdict(files={"docs/a", "docs/b"}, paths=("docs/", "*.md")),
            "paths",
            "Push of bbbbbbb to main changed 2 files, all ignored by the path rules (docs/, *.md).",
        ),
        (
            verdict(files={"docs/a"}, paths=("src/",), paths_mode="allow"),
            "paths",
            "Push of bbbbbbb to main changed 1 file, none allowed by the path rules (src/).",
        ),
        (
            verdict(files=set(), paths=("docs/",)),
            "paths",
            "Push of bbbbbbb to main changed no file, so none that the path rules (docs/) let build.",
        ),
    ],
)
def test_every_skip_has_its_sentence(skip: Go | Skip, rule: str, sentence: str) -> None:
    assert isinstance(skip, Skip)
    assert (skip.rule, skip.sentence) == (rule, sentence)
    assert skip.verdict is (Verdict.DUPLICATE if rule == "same_push" else Verdict.SKIPPED)
    assert skip.inputs


def test_the_first_reason_in_order_is_told() -> None:
    """A push with everything against it, relieved of one reason after the other."""
    reasons: dict[str, Any] = {
        "paused": True,
        "ci": False,
        "repeated": True,
        "files": {"docs/a"},
        "paths": ("docs/",),
    }
    push = replace(DELETED, ref="refs/tags/v1", commits=saying("[skip ci]").commits)
    told = [verdict(push, **reasons).rule]
    for ref in ("refs/heads/x", "refs/heads/main"):
        push = replace(push, ref=ref)
        told.append(verdict(push, **reasons).rule)
    push = replace(push, deleted=False, after=NEW)
    for harmless in ({}, {"paused": False}, {"ci": True}, {"repeated": False}):
        reasons |= harmless
        told.append(verdict(push, **reasons).rule)
    push = replace(push, commits=())
    told.append(verdict(push, **reasons).rule)
    reasons["files"] = None
    told.append(verdict(push, **reasons).rule)
    assert told == [
        "tag", "other_branch", "deleted_ref", "paused", "ci_off", "same_push", "commit_flag", "paths", "push",
    ]  # fmt: skip


@pytest.mark.parametrize("flag", DEFAULT_COMMIT_FLAGS)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_a_flag_in_any_commit_in_any_case_skips(flag: str, place: int, spell: Any) -> None:
    messages = ["One", "Two", "Three"]
    messages[place] += f"\n\nBody {spell(flag)} more"
    skip = verdict(saying(*messages))
    assert isinstance(skip, Skip)
    assert skip.inputs == {"commit": f"{place:040x}", "flag": flag}


def test_only_the_flags_that_are_set_count() -> None:
    assert isinstance(verdict(saying("skip ci", "[skip-ci]", "[skip\nci]")), Go)
    assert isinstance(verdict(saying("[skip ci]"), commit_flags=()), Go)
    assert isinstance(verdict(saying("[wip]"), commit_flags=("[WIP]",)), Skip)


@pytest.mark.parametrize(
    ("patterns", "files", "ignored", "allowed"),
    [
        (("docs/",), {"docs/a", "docs/b/c"}, True, True),
        (("docs/",), {"docs"}, False, False),  # a file of that name is no directory
        (("docs/",), {"sub/docs/a"}, True, True),
        (("/docs/",), {"sub/docs/a"}, False, False),
        (("docs/",), {"docs/a", "src/a"}, False, True),
        (("*.md",), {"README.md", "deep/down/x.md"}, True, True),
        (("/*.md",), {"deep/x.md"}, False, False),
        (("**/test/**",), {"a/b/test/c", "test/d"}, True, True),
        (("src/**/gen",), {"src/gen", "src/a/b/gen"}, True, True),
        (("src/*",), {"src/a/b"}, True, True),  # the directory src/a matches
        (("*.md", "!README.md"), {"README.md"}, False, False),
        (("*.md", "!README.md"), {"other.md"}, True, True),
        (("!README.md", "*.md"), {"README.md"}, True, True),  # the last match decides
        (("# a comment", ""), {"a"}, False, False),
        ((r"\#a",), {"#a"}, True, True),
        (("fi[lm]e?",), {"file1", "fime2"}, True, True),
        (("Docs/",), {"docs/a"}, False, False),
        (("ü*",), {"über"}, True, True),
    ],
)
def test_path_rules_are_gitignore_syntax(
    patterns: tuple[str, ...], files: set[str], ignored: bool, allowed: bool
) -> None:
    """`ignored`: ignore mode skips the push; `allowed`: allow mode builds it."""
    assert isinstance(verdict(files=files, paths=patterns), Skip) is ignored
    assert isinstance(verdict(files=files, paths=patterns, paths_mode="allow"), Go) is allowed


@pytest.mark.parametrize("mode", ["ignore", "allow"])
def test_unknown_files_and_no_rules_build(mode: str) -> None:
    assert isinstance(verdict(files=None, paths=("*",), paths_mode=mode), Go)
    assert isinstance(verdict(files={"a"}, paths=(), paths_mode=mode), Go)


SHAS = st.none() | st.text("0123456789abcdef", min_size=40, max_size=40)
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12)
PUSHES = st.builds(
    replace,
    st.just(PUSH),
    ref=st.builds(
        str.__add__, st.sampled_from(["refs/heads/", "refs/tags/", "refs/notes/"]), NAMES | st.just("main")
    ),
    before=SHAS,
    after=SHAS,
    deleted=st.booleans(),
    commits=st.lists(
        st.builds(
            Commit, st.just(NEW), st.sampled_from([SECRET, f"[skip ci] {SECRET}", "x"]), st.just(SECRET)
        ),
        max_size=3,
    ).map(tuple),
    head_message=st.just(SECRET),
)


@given(
    push=PUSHES,
    paused=st.booleans(),
    ci=st.booleans(),
    repeated=st.booleans(),
    files=st.none() | st.sets(NAMES, max_size=4),
    paths=st.lists(NAMES, max_size=3).map(tuple),
    mode=st.sampled_from(["ignore", "allow"]),
)
def test_every_verdict_has_a_reason_and_no_secret(
    push: Push,
    paused: bool,
    ci: bool,
    repeated: bool,
    files: set[str] | None,
    paths: tuple[str, ...],
    mode: str,
) -> None:
    try:
        decided = verdict(
            push, paused=paused, ci=ci, repeated=repeated, files=files, paths=paths, paths_mode=mode
        )
    except ValueError:  # a pattern that is no .gitignore syntax was refused where it was given
        return
    assert decided.rule
    assert decided.sentence.endswith(".")
    assert len(decided.sentence) > 10
    assert SECRET not in f"{decided.sentence} {decided.inputs}"
