"""Makes notifications of what happened: by the rules of each target of its project, in the order in which it happened.

Notices are taken and notifications stored in one transaction, so none is lost and none is told twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from app.commands import notice_items as items
from app.domain.notifications import (
    Item,
    Kind,
    Rule,
    What,
    rules_of_end,
    standing_after,
    told_by,
)
from app.domain.runs import RunStatus
from app.store import notice_subjects as subjects
from app.store import notices, notification_targets, notifications, projects, standings
from app.store.database import Tx
from app.store.notice_subjects import SubjectRun
from app.store.notices import Notice
from app.store.notification_targets import Target

AT_ONCE = 100  # notices of one transaction


def tell(tx: Tx, now: datetime, limit: int = AT_ONCE) -> bool:
    """Make notifications of the oldest notices; False if there were none."""
    taken = notices.take(tx, limit)
    known: dict[int, Sequence[Target]] = {}
    for notice in taken:
        if notice.project_id not in known:
            known[notice.project_id] = notification_targets.of_project(tx, notice.project_id)
        if targets := known[notice.project_id]:
            _tell(tx, notice, targets, now)
    return bool(taken)


def _tell(tx: Tx, notice: Notice, targets: Sequence[Target], now: datetime) -> None:
    project = projects.with_id(tx, notice.project_id).name
    match notice.what:
        case What.RUN_BEGAN:
            if begun := subjects.run(tx, notice.subject_id):
                _ping(tx, targets, begun, items.of_begun_run(begun), now)
        case What.RUN_ENDED:
            if ended := subjects.run(tx, notice.subject_id):
                _tell_end(tx, notice, targets, ended, now)
        case What.BUILD_ENDED:
            build = subjects.build(tx, notice.subject_id)
            if build is not None and build.status == "failed" and not build.is_again:
                _gather(tx, targets, Rule.BUILD_FAILURE, items.of_failed_build(build), list(build.jobs), now)
        case What.DEPLOYMENT_ENDED:
            deployment = subjects.deployment(tx, notice.subject_id)
            if deployment is not None and (item := items.of_deployment(deployment)):
                _gather(tx, targets, Rule.DEPLOYMENT, item, deployment.job_ids, now)
        case What.IMAGE_MOVED:
            if moved := subjects.decision(tx, notice.subject_id):
                item = items.of_moved_image(moved, project)
                _gather(tx, targets, Rule.DEPLOYMENT, item, [moved.job_id], now)
        case What.MISSED:
            if missed := subjects.decision(tx, notice.subject_id):
                _gather(tx, targets, Rule.MISSED, items.of_missed(missed, project), [missed.job_id], now)
        case What.ALARM | What.ALARM_OVER:
            if alarm := subjects.alarm(tx, notice.subject_id):
                is_over = notice.what is What.ALARM_OVER
                item = items.of_alarm_over(alarm) if is_over else items.of_alarm(alarm)
                _gather(tx, targets, Rule.ALARM, item, None, now)


def _tell_end(tx: Tx, notice: Notice, targets: Sequence[Target], run: SubjectRun, now: datetime) -> None:
    before, succeeded_at = _standing(tx, run)
    if run.status is RunStatus.SUCCEEDED:
        succeeded_at = run.at
    standings.save(tx, notice.project_id, run.job_id, standing_after(run.status, before), succeeded_at)
    met, told = rules_of_end(run.status, before), set()
    for target in _of_people(targets):
        rule = told_by(met, target.on) if target.is_for([run.job_id]) else None
        if rule is not None:
            notifications.gather(tx, target.id, items.of_ended_run(run, before, rule), now)
            told.add(target.id)
    if run.status is not RunStatus.CANCELLED:
        _ping(tx, targets, run, items.of_ended_run(run, before, Rule.END), now)
    if run.status is RunStatus.SUCCEEDED:
        for target_id in set(standings.end_absence(tx, run.job_id)) - told:
            notifications.gather(tx, target_id, items.of_presence(run), now)


def _standing(tx: Tx, run: SubjectRun) -> tuple[RunStatus | None, datetime | None]:
    """As its last end was noticed; else, as for a target that was just made, as the runs themselves tell."""
    return standings.of_job(tx, run.job_id) or subjects.before(tx, run)


def _gather(
    tx: Tx, targets: Sequence[Target], rule: Rule, item: Item, job_ids: Collection[int] | None, now: datetime
) -> None:
    """Have each target told that has the rule; with `job_ids` None, whatever jobs it is for."""
    for target in _of_people(targets):
        if rule in target.on and (job_ids is None or target.is_for(list(job_ids))):
            notifications.gather(tx, target.id, item, now)


def _ping(tx: Tx, targets: Sequence[Target], run: SubjectRun, item: Item, now: datetime) -> None:
    """Pings are told one by one, in their order, and at once."""
    for target in targets:
        if target.kind is Kind.PING and target.is_for([run.job_id]):
            notifications.add(tx, target.id, item, now, due_at=now, job_id=run.job_id)


def _of_people(targets: Sequence[Target]) -> list[Target]:
    return [target for target in targets if target.kind is not Kind.PING]
