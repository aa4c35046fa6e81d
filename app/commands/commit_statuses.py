"""What the status of a commit follows: noted with the decisions of a push, a build by hand, and a run started again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from app.domain.build_parts import BuildTriggerType
from app.domain.builds import Build
from app.domain.comparing import REMOTE
from app.domain.events import Push
from app.domain.hosts import git_host
from app.domain.job.records import Job, Source
from app.store import builds, commit_statuses, jobs
from app.store.commit_statuses import Note
from app.store.database import Tx

NEED_NO_BUILD = {"paths", "commit_flag"}  # rules
Decided = Sequence[tuple[Job | None, int]]  # each job that was decided for, or None, and the decision's id


def notes_of_push(
    push: Push, source: Source, decided: Decided, build_id: int | None, rule: str, sentence: str
) -> Iterator[Note]:
    """What a push says of its commit for a source: that a build decides, or (None) why there is none.

    What is no commit of a branch, such as a tag's object, has no status unless it is built; but a pull request has that
    needs no build. One that waits for somebody has none, so that it is not taken for one that passed.
    """
    needs_none = push.pull_request is not None and rule in NEED_NO_BUILD
    if push.commit is None or (push.branch is None and build_id is None and not needs_none):
        return
    forge = "" if push.forge == REMOTE else push.forge
    yield from _notes(source, decided, push.commit, build_id, sentence, forge)


def note_build_by_hand(
    tx: Tx, source: Source, decided: Decided, sha: str | None, build_id: int, now: datetime
) -> None:
    """The commit's statuses follow a build that somebody asked for, if it is known of which commit that is."""
    if sha is not None:
        commit_statuses.note(tx, list(_notes(source, decided, sha, build_id, "", "")), now)


def note_found_commit(tx: Tx, build: Build, now: datetime) -> None:
    """The commit of a branch's head is known by now: its statuses follow the build that somebody asked for."""
    if build.trigger.type is not BuildTriggerType.MANUAL or build.sha is None:
        return
    for source_id in builds.sources_of(tx, build.id):
        source = jobs.source_with_id(tx, source_id)
        concerned: Sequence[Job | None] = jobs.of_source(tx, source_id) or [None]
        decided = [(job, None) for job in concerned]
        commit_statuses.note(tx, list(_notes(source, decided, build.sha, build.id, "", "")), now)


def _notes(
    source: Source,
    decided: Sequence[tuple[Job | None, int | None]],
    sha: str,
    build_id: int | None,
    sentence: str,
    forge: str,
) -> Iterator[Note]:
    host = git_host(source.url)
    for job, decision_id in decided if host else ():
        name = job.name if job else source.name or ""
        job_id = job.id if job else None
        yield Note(
            source.project_id,
            job_id,
            name,
            source.url,
            host,
            forge,
            sha,
            build_id,
            decision_id,
            sentence,
        )
