"""Who needs a run or a build that may be beyond the limits: asked before they go, and again as they go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, type_coerce
from sqlmodel import col, or_, select

from app.domain.references import Means, Ours, meaning_of
from app.domain.retention import Why
from app.store.database import Tx
from app.store.history import pages
from app.store.schema import (
    BuildRow,
    DecisionRow,
    DeploymentRow,
    DeploymentStepRow,
    FlowNodeRow,
    FlowRow,
    FlowRunRow,
    JobRow,
    RunRow,
)

OPEN = ("queued", "running", "pending")
NOBODY: frozenset[int] = frozenset()


def of_runs(tx: Tx, run_ids: Sequence[int], deployments_going: Collection[int] = NOBODY) -> dict[int, Why]:
    """Which of these runs are needed, but for what goes before them."""
    found: dict[int, Why] = {}
    for ids in pages(run_ids):
        steps = select(DeploymentStepRow.run_id, DeploymentStepRow.deployment_id)
        for run_id, deployment_id in tx.exec(steps.where(col(DeploymentStepRow.run_id).in_(ids))):
            if run_id is not None and deployment_id not in deployments_going:
                found[run_id] = Why.DEPLOYMENT_IS_KEPT
        nodes = _of_open_flows(select(FlowNodeRow.run_id)).where(col(FlowNodeRow.run_id).in_(ids))
        found |= dict.fromkeys((each for each in tx.exec(nodes) if each is not None), Why.AWAITED)
    return found


def of_builds(
    tx: Tx,
    build_ids: Sequence[int],
    runs_going: Collection[int] = NOBODY,
    deployments_going: Collection[int] = NOBODY,
) -> dict[int, Why]:
    """Which of these builds rows refer to, but for what goes before them. See `deployed` and `of_deployments` too."""
    found: dict[int, Why] = {}
    for ids in pages(build_ids):
        used = select(RunRow.build_id, RunRow.awaited_build_id, RunRow.id)
        used = used.where(or_(col(RunRow.build_id).in_(ids), col(RunRow.awaited_build_id).in_(ids)))
        for its_own, awaited, run_id in tx.exec(used):
            if run_id not in runs_going:
                found |= {each: Why.RUN_IS_KEPT for each in (its_own, awaited) if each is not None}
        row = DecisionRow
        said = select(row.build_id, row.run_id, row.deployment_id).where(col(row.build_id).in_(ids))
        said = said.where(or_(col(row.run_id).is_not(None), col(row.deployment_id).is_not(None)))
        for build_id, of_run, of_deployment in tx.exec(said):
            if build_id is not None and of_run is not None and of_run not in runs_going:
                found[build_id] = Why.RUN_IS_KEPT
            if build_id is not None and of_deployment is not None and of_deployment not in deployments_going:
                found[build_id] = Why.DEPLOYMENT_IS_KEPT
        steps = select(DeploymentStepRow.build_id, DeploymentStepRow.deployment_id)
        for build_id, deployment_id in tx.exec(steps.where(col(DeploymentStepRow.build_id).in_(ids))):
            if build_id is not None and deployment_id not in deployments_going:
                found[build_id] = Why.DEPLOYMENT_IS_KEPT
        nodes = _of_open_flows(select(FlowNodeRow.build_id)).where(col(FlowNodeRow.build_id).in_(ids))
        again = select(BuildRow.rebuild_of).where(col(BuildRow.rebuild_of).in_(ids), _is_open(BuildRow))
        for query in (nodes, again):
            found |= dict.fromkeys((each for each in tx.exec(query) if each is not None), Why.AWAITED)
    return found


def deployed(tx: Tx, ours: Ours) -> dict[int, Why]:
    """The builds whose images jobs have or name, and those that flows are to deploy."""
    is_there = col(JobRow.deleted_at).is_(None)
    build_id = col(JobRow.deployed)["build_id"].as_integer()
    found = {each for each in tx.exec(select(build_id).where(is_there)) if each is not None}
    image = type_coerce(col(JobRow.definition), JSON)["source"]["image"].as_string()
    named = select(JobRow.project_id, image).where(is_there, col(JobRow.source_id).is_(None))
    for project_id, reference in tx.exec(named):
        found |= _built_as(tx, project_id, reference, ours) if reference else set()
    for definition in tx.exec(select(FlowRow.definition)):
        found |= set(_numbers_of_builds(definition))
    started = select(FlowRunRow.trigger).where(_is_open(FlowRunRow))
    found |= {each["build"] for each in tx.exec(started) if each.get("build")}
    return dict.fromkeys(found, Why.DEPLOYED)


def _built_as(tx: Tx, project_id: int, reference: str, ours: Ours) -> set[int]:
    meaning = meaning_of(reference, ours)
    if meaning is None:
        return set()
    if meaning.means is Means.BUILD:
        return {int(meaning.value)} if meaning.value else set()
    same = select(BuildRow.id).where(BuildRow.project_id == project_id, BuildRow.digest == meaning.value)
    return set(tx.exec(same).all())


def _numbers_of_builds(document: Any) -> Iterable[int]:
    """Whatever a flow's definition names as a build, at any depth."""
    if isinstance(document, Mapping):
        if isinstance(document.get("build"), int):
            yield document["build"]
        for value in document.values():
            yield from _numbers_of_builds(value)
    elif isinstance(document, list):
        for value in document:
            yield from _numbers_of_builds(value)


def of_deployments(tx: Tx, going: Collection[int] = NOBODY, *, since: int = 0) -> tuple[dict[int, Why], int]:
    """The builds whose images deployments are of, or took the place of; and the newest deployment's id.

    `since` leaves out deployments that are over and not newer than that.
    """
    row, newest = DeploymentRow, since
    found: dict[int, Why] = {}
    query = select(row.id, row.images, row.snapshot).where(or_(col(row.id) > since, _is_open(row)))
    for deployment_id, images, snapshot in tx.exec(query.execution_options(yield_per=200)):
        newest = max(newest, deployment_id)
        if deployment_id not in going:
            named = [*images.values(), *snapshot.values()]
            builds = (each.get("build_id") for each in named if each)
            found |= dict.fromkeys((each for each in builds if each), Why.DEPLOYMENT_IS_KEPT)
    return found, newest


def _is_open(row: Any) -> Any:
    return col(row.status).in_(OPEN)


def _of_open_flows(query: Any) -> Any:
    query = query.join(FlowRunRow, col(FlowRunRow.id) == col(FlowNodeRow.flow_run_id))
    return query.where(_is_open(FlowRunRow))
