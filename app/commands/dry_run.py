"""What a push would do: the rules that really decide, with nothing stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from app.checkout import Checkouts
from app.commands.branch_tracking import change_by_following
from app.commands.change_sets import Inquiry, without_git
from app.commands.detection import Detection
from app.commands.image_rollout import forecast_build, forecast_deploy
from app.commands.promotions import PromotionPlan, forecast_promotion
from app.commands.pushes import git_decides, place_of, push_of, verdict_on
from app.commands.remote_access import git_access
from app.commands.repository_files import Apply, Taken, is_current, no_file, read_files, speaks_for, take
from app.domain.build_parts import BuildTrigger, BuildTriggerType
from app.domain.builds import Build, BuildStatus
from app.domain.decisions import Go, Verdict
from app.domain.errors import InvalidValue, NotFound, UserError
from app.domain.events import BRANCH_PREFIX, Push, RepositoryRef, short
from app.domain.job.records import Deployed, Job, Source
from app.domain.pushes import Changes
from app.domain.repository_file import FILE, FileText
from app.domain.rollout import CD_OFF, DeploymentForecast, Forecast, HookForecast, forecast_hook
from app.domain.rules import ImageEvent
from app.forges.base import Forge
from app.runtime.ports import Clock, Vault
from app.store import apps, jobs, projects
from app.store.database import Database, Tx
from app.store.deliveries import Delivery

REHEARSAL = "rehearsal"  # the event of what is decided and undone
DROPPED = f"Paused, as {FILE} does not have it any more."
NOBODY_HAS_IT = "No job or build service has this repository, or not for this token."


@dataclass(frozen=True)
class Stage:
    """One verdict as it would be stored."""

    verdict: Verdict
    rule: str
    sentence: str


@dataclass(frozen=True)
class Effect:
    """What would become of one job, or (None) of a build service without jobs. `deploy` is what a good build does.

    A promotion and a manual deploy build nothing. `file` is what the repository's own file would change first.
    """

    project: str
    job: str | None
    build_service: str | None
    build: Stage | None
    deploy: Stage | None
    would_build: bool
    would_deploy: bool
    would_run: bool
    file: Stage | None = None


class _NotTaken(Exception):
    """Ends the transaction in which a file is applied, so that nothing of it is stored."""


@dataclass(frozen=True)
class DryRun:
    """Git may be asked, as it would be; nothing stays written in the store, and nobody hears of it.

    `within` limits what is looked at to the projects with these ids.
    """

    db: Database
    clock: Clock
    forges: Mapping[str, Forge]
    checkouts: Checkouts
    vault: Vault
    apply_file: Apply = no_file

    def of_delivery(self, delivery: Delivery, within: frozenset[int] | None) -> list[Effect]:
        """What replaying a delivery would do."""
        push = push_of(delivery, self.forges)
        return self._effects(push, sorted(push.repository.keys), delivery.scopes, within, delivery)

    def of_push(self, push: Push, within: frozenset[int] | None) -> list[Effect]:
        """What a push would do that nobody has told of. `push.repository` may be named as people name it.

        Without `after`, unless it is a deletion, it is the head that Git is asked for. Raises NotFound where nothing
        within reach has this repository, InvalidValue where there is no such head.
        """
        with self.db.read() as tx:
            known = projects.repositories_in_scope(tx)
        named = f"/{push.repository.full_name.lower()}"
        keys = {key for _, key in known if key in push.repository.keys or key.lower().endswith(named)}
        scopes = [scope for scope, key in known if key in keys]
        if push.after is None and not push.deleted:
            push = replace(push, after=self._head(push, sorted(keys), scopes, within))
        found = self._effects(push, sorted(keys), scopes, within, None)
        if not found:
            raise NotFound(NOBODY_HAS_IT)
        return found

    def _head(
        self, push: Push, keys: Sequence[str], scopes: Sequence[str], within: frozenset[int] | None
    ) -> str:
        """What the ref is at, by the access of a source that tracks it, or of any other of the repository."""
        with self.db.read() as tx:
            tracked = jobs.tracking(tx, keys, scopes)
        sources = [source for source, _ in tracked if within is None or source.project_id in within]
        if not sources:
            raise NotFound(NOBODY_HAS_IT)
        source = next((each for each in sources if each.branch == push.branch), sources[0])
        with self.db.read() as tx:
            credential = git_access(tx, self.vault, source.credential_id, source.url)
        try:
            return self.checkouts.head_of(source.url, push.ref, credential)
        except UserError as error:
            raise InvalidValue("push.after", f"after is missing, and Git names no commit: {error}") from error

    def _effects(
        self,
        push: Push,
        keys: Sequence[str],
        scopes: Sequence[str],
        within: frozenset[int] | None,
        delivery: Delivery | None,
    ) -> list[Effect]:
        with self.db.read() as tx:
            tracked = [
                (source, of_source)
                for source, of_source in jobs.tracking(tx, keys, scopes)
                if within is None or source.project_id in within
            ]
            asked_about = {
                source.id
                for source, of_source in tracked
                if git_decides(tx, push, source, of_source, delivery)
            }
        git = Inquiry(self.db, self.vault, self.checkouts, push)
        changes = {
            source.id: git.changes(source) if source.id in asked_about else without_git(push, source)
            for source, _ in tracked
        }
        with_file = [source for source, _ in tracked if speaks_for(push, source)]
        files = read_files(git, with_file, is_last_try=True)

        found: list[Effect] = []
        with suppress(_NotTaken), self.db.write() if files else self.db.read() as tx:
            found += [
                each
                for source, of_source in tracked
                for each in self._of_source(
                    tx, push, source, of_source, changes[source.id], delivery, files.get(source.id)
                )
            ]
            raise _NotTaken
        return found

    def _of_source(
        self,
        tx: Tx,
        push: Push,
        source: Source,
        of_source: list[Job],
        changes: Changes,
        delivery: Delivery | None,
        file: FileText | None = None,
    ) -> list[Effect]:
        movement, repeated = place_of(tx, push, source, delivery)
        taken, had = Taken(source, of_source), _of_file(of_source)
        if file is not None and not repeated and is_current(tx, source, push, movement.position):
            event_id = REHEARSAL if delivery is None else delivery.event_id
            now = self.clock.now()
            taken = take(tx, self.apply_file, event_id, push, source, of_source, file, now)
            source, of_source = taken.source, taken.jobs
        verdict = taken.verdict(verdict_on(push, source, of_source, changes, repeated=repeated))
        builds = isinstance(verdict, Go)
        stage = Stage(
            Verdict.BUILT if isinstance(verdict, Go) else verdict.verdict, verdict.rule, verdict.sentence
        )
        project = projects.with_id(tx, source.project_id).name
        if not of_source:
            return [Effect(project, None, source.name, stage, None, builds, False, False)]
        build = self._build_of(push, source, project, movement.position)
        found = [
            _effect(project, job, source, stage, *(_then(tx, build, job) if builds else (None, False, False)))
            for job in of_source
        ]
        dropped = dict.fromkeys(had - _of_file(of_source), DROPPED)
        said = {**taken.changed, **dropped}
        return [
            replace(each, file=_by_file(said.get(job.id))) for each, job in zip(found, of_source, strict=True)
        ]

    def _build_of(self, push: Push, source: Source, project: str, position: int) -> Build:
        """The build that the push would lead to, as if it had succeeded."""
        return Build(
            id=0,
            project_id=source.project_id,
            project=project,
            key="",
            url=source.url,
            ref=push.ref,
            sha=push.after,
            status=BuildStatus.SUCCEEDED,
            trigger=BuildTrigger(BuildTriggerType.PUSH),
            config=source.build,
            created_at=self.clock.now(),
            position=position,
        )

    @cached_property
    def detection(self) -> Detection:
        """Looks at repositories, by the same access."""
        return Detection(self.db, self.checkouts, self.vault)

    def of_new_job(self, tx: Tx, job: Job, sha: str | None) -> list[Effect]:
        """What a first push of this commit, to the branch that a new job follows, would do."""
        source = job.source
        if source is None:
            return []
        push = Push(
            forge="",
            repository=RepositoryRef(source.url, (source.url,)),
            ref=BRANCH_PREFIX + source.branch,
            before=None,
            after=sha,
            deleted=False,
            created=False,
            forced=False,
            commits=(),
            head_message="",
            changed_files=None,
            pusher="",
            compare_url="",
        )
        return self._of_source(tx, push, source, [job], without_git(push, source), None)


def _of_file(of_source: Sequence[Job]) -> set[int]:
    return {job.id for job in of_source if job.from_file is not None and not job.from_file.removed}


def _by_file(sentence: str | None) -> Stage | None:
    return None if sentence is None else Stage(Verdict.CONFIGURED, "file", sentence)


def summary(found: Sequence[Effect]) -> str:
    """How many would be built, deployed and run, in a sentence."""
    counts = [sum(getattr(each, f"would_{what}") for each in found) for what in ("build", "deploy", "run")]
    built, deployed, run = (count or "none" for count in counts)
    jobs_ = sum(each.job is not None for each in found)
    services = len(found) - jobs_
    counted = [f"{jobs_} job{'s' * (jobs_ != 1)}"] if jobs_ or not services else []
    counted += [f"{services} build service{'s' * (services != 1)} without jobs"] if services else []
    what = " and ".join(counted)
    return f"Of {what}, {built} would be built, {deployed} deployed and {run} run; nothing was done."


def of_deploy(tx: Tx, job: Job, image: Deployed, *, latest: bool, confirm_paused: bool, who: str) -> Effect:
    """What pointing a job at an image would do, once it is agreed to for a paused one."""
    ahead = forecast_deploy(tx, job, image, latest=latest, who=who)
    stage = Stage(ahead.verdict, ahead.rule, ahead.sentence + _to_confirm(job, confirm_paused=confirm_paused))
    return Effect(job.project, job.name, None, None, stage, False, ahead.moves, ahead.starts)


def _to_confirm(job: Job, *, confirm_paused: bool) -> str:
    return " It is refused without confirm_paused." if job.paused and not confirm_paused else ""


def of_following(tx: Tx, job: Job, before: Job, who: str) -> Stage | None:
    """What becomes of a job's image by settings with which CD goes on again; None where it doesn't by them."""
    if before.cd_enabled and not before.paused:
        return None
    why = f"Resumed by {who}" if before.paused else f"CD switched on by {who}"
    change = change_by_following(tx, job, why=why)
    return None if change is None else Stage(change.verdict, change.rule, change.sentence)


def of_promotion(tx: Tx, planned: PromotionPlan, *, confirm_paused: bool) -> list[Effect]:
    """What a promotion would do to each job that gets an image by it, and to each job that it would run as a hook.

    It is planned as if it had been agreed to for paused jobs.
    """
    return of_deployment(forecast_promotion(tx, planned), lambda _job_id: planned.sentence, confirm_paused)


def of_deployment(
    ahead: DeploymentForecast, what_of: Callable[[int], str], confirm_paused: bool
) -> list[Effect]:
    """A forecast as what becomes of each job; `what_of` has the words for what a job gets, by its id."""
    hooks, moves = {each.job.id: each for each in ahead.hooks}, {each.job.id: each for each in ahead.moves}
    found = []
    for job_id in dict.fromkeys([*moves, *hooks]):
        move, hook = moves.get(job_id), hooks.get(job_id)
        what = what_of(job_id) + (CD_OFF if move is not None and move.loses_cd else "")
        stage = _as_hook(hook, move, what) if hook is not None else _stage(move)
        job = (move or hooks[job_id]).job
        said = replace(stage, sentence=stage.sentence + _to_confirm(job, confirm_paused=confirm_paused))
        runs = _runs_as_hook(hook) if hook is not None else move is not None and move.starts
        found.append(
            Effect(job.project, job.name, None, None, said, False, move is not None and move.moves, runs)
        )
    return found


def _stage(ahead: Forecast | None) -> Stage:
    assert ahead is not None
    return Stage(ahead.verdict, ahead.rule, ahead.sentence)


def _as_hook(hook: HookForecast, move: Forecast | None, what: str) -> Stage:
    """What becomes of a hook that may get an image as well."""
    moves = move is not None and move.moves
    verdict = Verdict.STARTED if _runs_as_hook(hook) else Verdict.DEPLOYED if moves else Verdict.SKIPPED
    return Stage(verdict, "hook", f"{what}; the job is the deployment's {hook.kind} job.")


def _runs_as_hook(hook: HookForecast) -> bool:
    """Whether it runs if all goes well."""
    return hook.starts and hook.kind != "failed-deploy"


def _effect(
    project: str, job: Job, source: Source, build: Stage, deploy: Stage | None, moves: bool, runs: bool
) -> Effect:
    return Effect(project, job.name, source.name, build, deploy, build.verdict is Verdict.BUILT, moves, runs)


def _then(tx: Tx, build: Build, job: Job) -> tuple[Stage, bool, bool]:
    """What the build's success would mean for a job: the verdict, whether its image moves and whether it runs."""
    what = f"If the build of {short(build.sha)} succeeds"
    app = apps.of_job(tx, job.id)
    ahead = forecast_build(tx, build, job, ImageEvent.BUILD_SUCCEEDED, what, app)
    stage, runs = _stage(ahead), ahead.starts
    if app is None or not ahead.moves:
        return stage, ahead.moves, runs
    hooks = {member.job_id: member.hook for member in app.members}
    after = ", after its pre-deploy jobs" if "pre-deploy" in hooks.values() else ""
    kind = hooks[job.id]
    if kind is not None:
        hook = forecast_hook(job, kind, what, gets_image=True)
        stage, runs = _as_hook(hook, ahead, what), _runs_as_hook(hook)
    moving = f"{stage.sentence} Its image moves as part of a deployment of app {app.name}{after}."
    return replace(stage, sentence=moving), True, runs
