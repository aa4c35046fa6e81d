"""What becomes of jobs when images come to them: one forecast, for whoever does it and for whoever only asks.

event ─▶ rules.on_image_change ─▶ other runs of the job (Admission) ─▶ is it a hook of its deployment? ─▶ Forecast
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.domain.concurrency import Admission
from app.domain.decisions import Verdict
from app.domain.job.records import Job
from app.domain.rules import ImageChange, ImageEvent, on_image_change, stays_available

CD_OFF = " (CD is off now)"
ALONE = Admission(runs=True)  # no other run of the job is alive


@dataclass(frozen=True)
class Forecast:
    """What becomes of one job: `verdict`, `rule` and `sentence` as they are stored if it happens.

    `starts` is a run because the image moved; what a job runs as a hook of a deployment is a `HookForecast`.
    """

    job: Job
    moves: bool
    starts: bool
    loses_cd: bool
    verdict: Verdict
    rule: str
    sentence: str
    replaces: tuple[int, ...] = ()  # ids of the live runs that end for the one that starts
    beside: str = (
        ""  # why it doesn't start, or what the concurrency policy says of other runs: it replaces them
    )

    @property
    def cause(self) -> str:
        """Return why the image moves, which is kept with it."""
        return self.sentence


def forecast(
    job: Job,
    event: ImageEvent,
    what: str,
    *,
    admission: Admission = ALONE,
    is_chosen: bool = False,
    overtaken_by: str | None = None,
    passed_over: tuple[str, str] | None = None,
    is_hook: bool = False,
) -> Forecast:
    """Return what an image does to a job.

    `what` names the event in a sentence. `is_chosen` says that somebody picked the image, which turns continuous
    delivery off. `overtaken_by` is the newer commit that is deployed already; `passed_over` the rule and the reason for
    which continuous delivery leaves a build alone. A job that runs as a hook of the deployment does not run because of
    its image as well.
    """
    turns_off = is_chosen and job.cd_enabled and job.source is not None
    told = f"{what}{CD_OFF}" if turns_off else what
    if passed_over is not None and event is ImageEvent.BUILD_SUCCEEDED:
        change = stays_available(*passed_over, what=told)
    else:
        change = on_image_change(event, job, what=told, overtaken_by=overtaken_by)
    if is_hook and change.runs:
        sentence = f"{_open(change.sentence)}, but the job runs as a hook of the deployment instead."
        change = replace(change, runs=False, rule="hook", sentence=sentence)
    return of_change(job, change, admission, loses_cd=turns_off and change.moves)


def of_change(
    job: Job, change: ImageChange, admission: Admission = ALONE, *, loses_cd: bool = False
) -> Forecast:
    """The forecast of a change by the rules, where other runs of the job may be in its way."""
    verdict, rule, sentence = change.verdict, change.rule, change.sentence
    if change.runs and not admission.runs:
        verdict, rule = Verdict.DEPLOYED, admission.rule
        sentence = f"{_open(sentence)}, but {admission.why}."
    elif change.runs and admission.replaces:
        verdict, sentence = Verdict.REPLACED, f"{_open(sentence)}; {admission.why}."
    starts = change.runs and admission.runs
    return Forecast(
        job=job,
        moves=change.moves,
        starts=starts,
        loses_cd=loses_cd,
        verdict=verdict,
        rule=rule,
        sentence=sentence,
        replaces=admission.replaces if starts else (),
        beside=admission.why if change.runs else "",
    )


@dataclass(frozen=True)
class HookForecast:
    """The verdict on a job as a hook of a deployment; `kind` says when it runs: before, after, or if it fails."""

    job: Job
    kind: str  # pre-deploy, post-deploy or failed-deploy
    starts: bool
    rule: str
    sentence: str


def forecast_hook(job: Job, kind: str, what: str, *, gets_image: bool) -> HookForecast:
    """Return what a deployment does with one of its hooks when it gets there. `what` names the step in a sentence."""
    if job.paused:
        return HookForecast(job, kind, starts=False, rule="paused", sentence=f"{what}: the job is paused.")
    if not gets_image and job.deployed is None and not job.runs_a_reference:
        sentence = f"{what}: it has no image yet, so it can't run."
        return HookForecast(job, kind, starts=False, rule="no_image", sentence=sentence)
    return HookForecast(job, kind, starts=True, rule=kind.replace("-", "_"), sentence=f"{what}.")


@dataclass(frozen=True)
class DeploymentForecast:
    """What a deployment of an app does if all goes well: the jobs whose images move, and its hooks, in order."""

    moves: tuple[Forecast, ...]
    hooks: tuple[HookForecast, ...]

    def names_of_hooks(self, kind: str) -> list[str]:
        """The jobs that run as hooks of a kind."""
        return [each.job.name for each in self.hooks if each.kind == kind and each.starts]

    @property
    def starting(self) -> list[str]:
        """The jobs that run because their image moves."""
        return [each.job.name for each in self.moves if each.starts]


def _open(sentence: str) -> str:
    """A sentence that goes on."""
    return sentence.removesuffix(".")
