"""What a push brings of `jobyard.yaml`: read before the transaction that takes the push in, and applied in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.commands.change_sets import Inquiry
from app.domain.decisions import EventType, Go, Skip, Verdict
from app.domain.errors import JobyardError, TransientError
from app.domain.events import Push
from app.domain.job.records import Job, Source
from app.domain.repository_file import FILE, MOST_BYTES, FileOutcome, FileRefused, FileText, file_at
from app.runtime.disk import WAITED_FOR
from app.store import decisions, jobs, movements
from app.store.database import Tx

WRONG = "wrong_file"
Apply = Callable[[Tx, Source, str, str, datetime], FileOutcome]


@dataclass(frozen=True)
class Taken:
    """A source with its jobs as they are from now on, and what the file says against building it.

    `changed` has what it did to jobs, in a sentence for each by its id.
    """

    source: Source
    jobs: list[Job]
    refused: Skip | None = None
    remark: str = ""  # to be said beside the verdict
    changed: Mapping[int, str] = field(default_factory=dict)

    def verdict(self, verdict: Go | Skip) -> Go | Skip:
        """What becomes of the push, of which the rules say `verdict`."""
        if self.refused is not None:
            return self.refused
        return replace(verdict, sentence=f"{verdict.sentence} {self.remark}") if self.remark else verdict


def speaks_for(push: Push, source: Source) -> bool:
    """Whether the pushed commit's file speaks for the source: it is taken from its own branch alone, and never from a
    pull request, which anybody may open.
    """
    is_own = push.branch == source.branch and push.pull_request is None
    return source.config_file and is_own and push.after is not None and not push.deleted


def no_file(_tx: Tx, _source: Source, _sha: str, _text: str, _now: datetime) -> FileOutcome:
    """An `Apply` that changes nothing."""
    return FileOutcome()


def read_files(git: Inquiry, sources: Sequence[Source], *, is_last_try: bool) -> dict[int, FileText]:
    """The files of the pushed commit, by their sources. Raises TransientError while it is worth asking again."""
    return {source.id: _read(git, source, is_last_try=is_last_try) for source in sources}


def _read(git: Inquiry, source: Source, *, is_last_try: bool) -> FileText:
    try:
        return FileText(git.text_of(source, FILE, MOST_BYTES))
    except FileRefused as error:
        return FileText(wrong=str(error))
    except WAITED_FOR:
        raise
    except JobyardError as error:
        if isinstance(error, TransientError) and not is_last_try:
            raise
        return FileText(unreadable=str(error))


def is_current(tx: Tx, source: Source, push: Push, position: int) -> bool:
    """Whether the file still speaks for the source, which has taken no later movement of the branch: a late push sets
    nothing back.
    """
    if not speaks_for(push, source):
        return False
    newest = movements.newest_taken(tx, source.id, source.repo_key, push.ref)
    return newest is None or newest.position <= position


def take(
    tx: Tx,
    apply: Apply,
    event_id: str,
    push: Push,
    source: Source,
    of_source: list[Job],
    file: FileText,
    now: datetime,
) -> Taken:
    """Apply the file of a push, and store a decision for each job that it made or changed, by the push's event.

    `apply` makes jobs what a text says, or answers what is wrong with it.
    """
    sha = push.after
    assert sha is not None
    at = file_at(sha)
    if file.unreadable:
        remark = f"{at} can't be read, so settings stay as they are: {file.unreadable}"
        return Taken(source, of_source, remark=remark)
    if file.wrong:
        return Taken(
            source, of_source, _refusal(f"{at} can't be taken, so nothing is built: {file.wrong}", sha)
        )
    if file.text is None:
        return Taken(source, of_source, remark=f"There is no {at}, so settings stay as they are.")
    outcome = apply(tx, source, sha, file.text, now)
    if outcome.wrong:
        sentence = f"{at} is wrong, so nothing is built: {outcome.wrong}"
        return Taken(source, of_source, _refusal(sentence, sha))
    for job_id, sentence in outcome.changed:
        decisions.record(
            tx,
            at=now,
            event=(EventType.FILE, event_id),
            project_id=source.project_id,
            job_id=job_id,
            verdict=Verdict.CONFIGURED,
            rule="file",
            sentence=sentence,
            inputs={"sha": sha},
        )
    changed = jobs.build_service(tx, source.project_id, source.name or "")
    return Taken(changed or source, list(jobs.of_source(tx, source.id)), changed=dict(outcome.changed))


def _refusal(sentence: str, sha: str) -> Skip:
    return Skip(WRONG, sentence, {"sha": sha}, verdict=Verdict.REFUSED)
