"""The end of a run that somebody asks for."""

from __future__ import annotations

from datetime import datetime

from app.domain.decisions import EventType, Verdict
from app.domain.errors import Conflict
from app.domain.runs import Cancel, Reason, Run
from app.store import decisions, runs
from app.store.database import Tx


def cancel_by_hand(tx: Tx, run: Run, who: str, now: datetime) -> None:
    """Ask for a run's end; asked once more, it is killed at once. Each that changes something is a decision.

    Raises Conflict if it is over.
    """
    if run.status.is_final:
        raise Conflict(f"Run {run.name} is over already: {run.status}.")
    sentence = f"Cancelled by {who}."
    if run.cancel_requested_at is not None:
        sentence = f"{run.cancel_sentence} Forced by {who}."
    asked = runs.cancel(tx, run.id, Reason.CANCELLED, sentence, now)
    if asked is None:
        return
    rule = "cancel_forced" if asked is Cancel.FORCED else "cancel"
    decisions.record(
        tx,
        at=now,
        event=(EventType.MANUAL, f"{rule}:{run.id}"),
        project_id=run.project_id,
        job_id=run.job_id,
        verdict=Verdict.CANCELLED,
        rule=rule,
        sentence=_of_cancel(run, asked, who),
        inputs={"run": run.name, "by": who, "status": run.status},
        run_id=run.id,
    )


def _of_cancel(run: Run, asked: Cancel, who: str) -> str:
    match asked:
        case Cancel.OVER:
            when = "between its attempts" if run.attempts else "before it started"
            return f"Run {run.name} cancelled by {who} {when}."
        case Cancel.ASKED:
            grace = f"it has at most {run.grace_period_seconds} s to end by itself"
            return f"Run {run.name} cancelled by {who}: {grace}."
        case Cancel.FORCED:
            return f"Run {run.name} cancelled once more by {who}: it is killed at once."
