"""What the status of a commit is told from: builds, runs and deployments, as far as it needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import col, select

from app.domain.builds import BuildReason, BuildStatus
from app.domain.commit_statuses import BuildFacts, DeploymentFacts, RunFacts
from app.domain.decisions import EventType, Verdict
from app.domain.deployments import DeploymentStatus, StepKind
from app.domain.runs import Reason, RunStatus
from app.store.database import Tx
from app.store.schema import BuildRow, DecisionRow, DeploymentRow, DeploymentStepRow, RunRow


def builds(tx: Tx, build_ids: Sequence[int]) -> dict[int, BuildFacts]:
    columns: Any = (BuildRow.id, BuildRow.status, BuildRow.reason, BuildRow.sentence)
    found: Any = tx.exec(select(*columns).where(col(BuildRow.id).in_(build_ids)))
    return {
        id_: BuildFacts(id_, BuildStatus(status), BuildReason(reason) if reason else None, sentence)
        for id_, status, reason, sentence in found
    }


def runs(tx: Tx, run_ids: Sequence[int]) -> dict[int, RunFacts]:
    columns: Any = (RunRow.id, RunRow.name, RunRow.status, RunRow.reason, RunRow.sentence)
    found: Any = tx.exec(select(*columns).where(col(RunRow.id).in_(run_ids)))
    return {
        id_: RunFacts(id_, name, RunStatus(status), Reason(reason) if reason else None, sentence)
        for id_, name, status, reason, sentence in found
    }


def is_refused(tx: Tx, decision_id: int | None) -> bool:
    """Whether nothing is built because of what the repository itself has, such as a file that is wrong."""
    query = select(DecisionRow.verdict).where(DecisionRow.id == decision_id)
    return decision_id is not None and tx.exec(query).first() == Verdict.REFUSED


def decided(tx: Tx, build_id: int, job_id: int) -> tuple[str, int | None] | None:
    """What was decided for a job when a build succeeded, and the run that began then; None if nothing was."""
    return _decision(tx, EventType.BUILD, str(build_id), job_id)


def deployment(tx: Tx, build_id: int, job_id: int) -> tuple[DeploymentFacts, int | None] | None:
    """The newest deployment that a build is of, and the run of the job that began with it."""
    query = (
        select(DeploymentRow.id, DeploymentRow.status, DeploymentRow.sentence, DeploymentRow.warning)
        .join(DeploymentStepRow, col(DeploymentStepRow.deployment_id) == col(DeploymentRow.id))
        .where(DeploymentStepRow.build_id == build_id, DeploymentStepRow.kind == StepKind.BUILD)
        .order_by(col(DeploymentRow.id).desc())
        .limit(1)
    )
    found = tx.exec(query).first()
    if found is None:
        return None
    id_, status, sentence, warning = found
    decision, run_id = _decision(tx, EventType.DEPLOYMENT, str(id_), job_id) or ("", None)
    return DeploymentFacts(id_, DeploymentStatus(status), sentence, warning, decision), run_id


def _decision(tx: Tx, kind: EventType, event_id: str, job_id: int) -> tuple[str, int | None] | None:
    query = select(DecisionRow.sentence, DecisionRow.run_id).where(
        DecisionRow.event_type == kind, DecisionRow.event_id == event_id, DecisionRow.job_id == job_id
    )
    found = tx.exec(query).first()
    return None if found is None else (found[0], found[1])
