"""Pausing a job holds CI, CD and schedule back; resuming lets them go on as they were set, or with changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app.commands.branch_tracking import follow_branch
from app.domain.decisions import EventType, Verdict
from app.domain.errors import InvalidValue
from app.domain.job.records import Job
from app.runtime.ports import Names
from app.store import decisions, jobs
from app.store.database import Tx


def pause(tx: Tx, names: Names, job: Job, *, who: str, now: datetime) -> Job:
    """The job, paused, with a decision that says by whom; a paused one stays as it is."""
    if job.paused:
        return job
    sentence = f"Paused by {who}: {_held(job)} until it is resumed; what runs goes on."
    paused = jobs.set_switches(tx, job.id, now, paused=True)
    _record(tx, names, paused, Verdict.PAUSED, sentence, now)
    return paused


def resume(
    tx: Tx,
    names: Names,
    job: Job,
    *,
    who: str,
    now: datetime,
    ci_enabled: bool | None = None,
    cd_enabled: bool | None = None,
    schedule_active: bool | None = None,
) -> Job:
    """The job, going on; what is given changes a switch. Scheduled times that passed meanwhile are not caught up.

    With CD on it gets the latest build of its branch.

    Raises InvalidValue for a schedule that the job doesn't have, and for CI that is a build service's.
    """
    if ci_enabled is not None and job.source is not None and job.source.name is not None:
        message = f"ci_enabled of {job.name} is that of build service {job.source.name}: set it there."
        raise InvalidValue("ci_enabled", message)
    if schedule_active is not None and job.schedule is None:
        message = f"schedule_active is for cron jobs; {job.name} is manual."
        raise InvalidValue("schedule_active", message)
    resumed = jobs.set_switches(
        tx,
        job.id,
        now,
        paused=False,
        ci_enabled=ci_enabled,
        cd_enabled=cd_enabled,
        schedule_active=schedule_active,
    )
    if resumed.spec != job.spec:
        done, switches = "Resumed" if job.paused else "Switched", _switches(resumed)
        sentence = f"{done} by {who}{switches and f': {switches}'}."
        if resumed.next_fire_at is not None:
            missed = ", and none that passed meanwhile is caught up" if job.paused else ""
            sentence += f" The next scheduled time is {resumed.next_fire_at:%Y-%m-%d %H:%M} UTC{missed}."
        _record(tx, names, resumed, Verdict.RESUMED, sentence, now)
    if job.paused or not job.cd_enabled:
        why = f"Resumed by {who}" if job.paused else f"CD switched on by {who}"
        return follow_branch(tx, names, resumed, why=why, who=who, now=now)
    return resumed


def changes_a_switch(job: Job, switches: Mapping[str, bool | None]) -> bool:
    """Whether resuming with these switches leaves one otherwise than it is set: that changes the job's definition."""
    set_now = {
        "ci_enabled": job.ci_enabled,
        "cd_enabled": job.cd_enabled,
        "schedule_active": job.schedule is not None and job.schedule.active,
    }
    return any(value is not None and value != set_now[name] for name, value in switches.items())


def record_held_work(tx: Tx, names: Names, before: Job | None, job: Job, *, who: str, now: datetime) -> None:
    """A decision where a job was made paused, or its schedule set inactive or active: why nothing starts."""
    if before is None and job.paused:
        sentence = f"Made paused by {who}: nothing starts by itself until it is resumed."
        _record(tx, names, job, Verdict.PAUSED, sentence, now)
        return
    was_active = before is None or before.schedule is None or before.schedule.active
    if job.schedule is None or job.schedule.active == was_active:
        return
    if was_active:
        sentence = f"Schedule set inactive by {who}: neither it nor a new image starts a run."
        _record(tx, names, job, Verdict.PAUSED, sentence, now)
        return
    held = ", but the job is paused, so nothing starts yet" if job.paused else ""
    _record(tx, names, job, Verdict.RESUMED, f"Schedule set active by {who}{held}.", now)


def _held(job: Job) -> str:
    """What a pause holds back: of a build service's pushes it holds back nothing."""
    held = ["pushes build nothing"] if job.source is not None and job.source.name is None else []
    held += ["builds are not deployed"] if job.source is not None else []
    held += ["no new image starts a run"]
    held += ["the schedule starts nothing"] if job.schedule is not None else []
    *others, last = held
    return f"{', '.join(others)} and {last}" if others else last


def _switches(job: Job) -> str:
    """As they are set; only those that do something for this job."""
    switches = {}
    if job.source is not None and job.source.name is None:
        switches["CI"] = job.ci_enabled
    if job.source is not None:
        switches["CD"] = job.cd_enabled
    said = [f"{name} is {'on' if is_on else 'off'}" for name, is_on in switches.items()]
    if job.schedule is not None:
        said.append(f"the schedule is {'active' if job.schedule.active else 'inactive'}")
    return ", ".join(said)


def _record(tx: Tx, names: Names, job: Job, verdict: Verdict, sentence: str, now: datetime) -> None:
    decisions.record(
        tx,
        at=now,
        event=(EventType.MANUAL, f"{verdict}:{job.id}-{names.suffix()}"),
        project_id=job.project_id,
        job_id=job.id,
        verdict=verdict,
        rule=str(verdict),
        sentence=sentence,
        inputs={
            "ci_enabled": job.ci_enabled,
            "cd_enabled": job.cd_enabled,
            "schedule_active": job.schedule is not None and job.schedule.active,
        },
    )
