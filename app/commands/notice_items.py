"""What notices tell, as items of messages: in plain words, with the sentence that is stored of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.decisions import EventType
from app.domain.deployments import DeploymentStatus
from app.domain.events import short
from app.domain.notifications import Item, Rule, State, state_of_end
from app.domain.runs import RunStatus
from app.store.notice_subjects import Alarm, SubjectBuild, SubjectDecision, SubjectDeployment, SubjectRun

_ENDED = {
    State.FAILED: "failed",
    State.RECOVERED: "works again",
    State.SUCCEEDED: "succeeded",
    State.CANCELLED: "was cancelled",
}
_DEPLOYED = {
    DeploymentStatus.SUCCEEDED: (State.DEPLOYED, "was deployed"),
    DeploymentStatus.FAILED: (State.FAILED, "could not be deployed"),
    DeploymentStatus.CANCELLED: (State.CANCELLED, "was not deployed: it was cancelled"),
}
_STARTED_BY = {
    "manual": "started by hand",
    "api": "started by the API",
    "schedule": "started by its schedule",
    "image_change": "started by its new image",
    "promotion": "started by a promotion",
    "deploy": "started by a deploy",
    "flow": "started by a release flow",
}


def of_ended_run(run: SubjectRun, before: RunStatus | None, rule: Rule) -> Item:
    """`before` is how the one before ended. Of a failure that is not the first the headline says so."""
    state = state_of_end(run.status, before)
    again = " again" if state is State.FAILED and before is RunStatus.FAILED else ""
    return _of_run(run, rule, state, f"{run.job} {_ENDED[state]}{again}")


def of_begun_run(run: SubjectRun) -> Item:
    """It may have ended by now, which another item tells."""
    begun = replace(run, sentence="", at=run.started_at or run.at)
    return _of_run(begun, Rule.END, State.STARTED, f"{run.job} started")


def _of_run(run: SubjectRun, rule: Rule, state: State, headline: str) -> Item:
    by = f" ({run.by})" if run.by else ""
    started = _STARTED_BY.get(run.trigger, "started by a deployment")
    took = (
        "" if run.started_at is None or state is State.STARTED else f", took {_took(run.at - run.started_at)}"
    )
    return Item(
        rule=rule,
        state=state,
        headline=headline,
        sentence=run.sentence,
        at=run.at,
        path=f"/runs/{run.id}",
        job=run.job,
        details=f"Run {run.name}, {started}{by}{took}.",
        run_id=run.id,
        attempt=run.attempts,
        build_id=run.build_id,
        run_name=run.name,
    )


def of_missed(decision: SubjectDecision, project: str) -> Item:
    return Item(
        rule=Rule.MISSED,
        state=State.MISSED,
        headline=f"{decision.job} missed its schedule",
        sentence=decision.sentence,
        at=decision.at,
        path=f"/projects/{project}/jobs/{decision.job}/decisions",
        job=decision.job,
    )


def of_moved_image(decision: SubjectDecision, project: str) -> Item:
    promoted = decision.event_type == EventType.PROMOTION
    return Item(
        rule=Rule.DEPLOYMENT,
        state=State.DEPLOYED,
        headline=f"{decision.job} got an image by promotion"
        if promoted
        else f"{decision.job} got another image",
        sentence=decision.sentence,
        at=decision.at,
        path=f"/projects/{project}/jobs/{decision.job}",
        job=decision.job,
        build_id=decision.build_id,
    )


def of_failed_build(build: SubjectBuild) -> Item:
    commit = f" ({short(build.sha)})" if build.sha else ""
    names = ", ".join(build.jobs.values())
    return Item(
        rule=Rule.BUILD_FAILURE,
        state=State.FAILED,
        headline=f"Build {build.id} of {build.branch or 'a commit'} failed",
        sentence=build.sentence,
        at=build.at,
        path=f"/builds/{build.id}",
        job=next(iter(build.jobs.values())) if len(build.jobs) == 1 else None,
        details=f"Build {build.id}{commit}{f' for {names}' if names else ''}.",
        build_id=build.id,
    )


def of_deployment(deployment: SubjectDeployment) -> Item | None:
    """None for one that another took the place of: that one is told."""
    told = _DEPLOYED.get(DeploymentStatus(deployment.status))
    if told is None:
        return None
    state, words = told
    by = f" by {deployment.by}" if deployment.by else ""
    return Item(
        rule=Rule.DEPLOYMENT,
        state=state,
        headline=f"App {deployment.app} {words}",
        sentence=deployment.warning or deployment.sentence,
        at=deployment.at,
        path=f"/apps#deployment-{deployment.id}",
        details=f"Deployment {deployment.id}{by}.",
    )


def of_alarm(alarm: Alarm) -> Item:
    return Item(Rule.ALARM, State.ALARM, alarm.headline, alarm.sentence, alarm.began_at, "/settings")


def of_alarm_over(alarm: Alarm) -> Item:
    lasted = _took((alarm.over_at or alarm.began_at) - alarm.began_at)
    return Item(
        Rule.ALARM,
        State.OVER,
        f"Over: {alarm.headline}",
        f"It lasted {lasted}.",
        alarm.over_at or alarm.began_at,
        "/settings",
    )


def of_absence(job: str, project: str, hours: int, success: datetime | None, now: datetime) -> Item:
    last = "None is known." if success is None else f"The last success was at {success:%Y-%m-%d %H:%M} UTC."
    return Item(
        rule=Rule.ABSENCE,
        state=State.ABSENT,
        headline=f"{job} has not succeeded for {_hours(hours)}",
        sentence=f"No run of it has succeeded for {_hours(hours)}. {last}",
        at=now,
        path=f"/projects/{project}/jobs/{job}",
        job=job,
    )


def of_presence(run: SubjectRun) -> Item:
    return _of_run(run, Rule.ABSENCE, State.RECOVERED, f"{run.job} has succeeded again")


def of_test(target: str, who: str, now: datetime) -> Item:
    return Item("test", State.TEST, f"A test of {target}", f"Nothing happened: {who} asked for a test.", now)


def _hours(hours: int) -> str:
    return f"{hours} hour{'s' if hours > 1 else ''}"


def _took(span: timedelta) -> str:
    seconds = max(round(span.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"
