"""What people and programs ask for by hand: builds, runs with an image of their own, runs once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.commands.commit_statuses import note_build_by_hand
from app.commands.variables import open_variable
from app.domain.build_parts import BuildTrigger, BuildTriggerType
from app.domain.builds import build_key
from app.domain.decisions import EventType, Verdict
from app.domain.errors import Conflict, JobyardError
from app.domain.events import BRANCH_PREFIX, short
from app.domain.job.effective import variables_of
from app.domain.job.records import Job, Source
from app.domain.job.spec import BuildConfig
from app.domain.job.variables import Env, EnvValue
from app.domain.sealing import ENV_PURPOSE
from app.runtime.ports import Vault
from app.store import builds, decisions, jobs, movements
from app.store.database import Tx
from builders.plan import BuildSettings


def request_build(
    tx: Tx,
    job: Job,
    *,
    sha: str | None,
    branch: str | None,
    who: str,
    now: datetime,
    vault: Vault | None = None,
) -> int:
    """A build that ignores all rules for pushes; without `sha`, of the branch's head when it starts.

    With a `vault` pushes of the commit `sha` may join it; a build of a branch's head is joined by none.
    Raises Conflict for a job that nothing is built for.
    """
    if job.source is None:
        raise Conflict(f"Job {job.name} has no Git source, so there is nothing to build.")
    return request_build_of_source(
        tx, job.source, [job], sha=sha, branch=branch, who=who, now=now, vault=vault
    )


def request_build_of_source(
    tx: Tx,
    source: Source,
    told: Sequence[Job],
    *,
    sha: str | None,
    branch: str | None,
    who: str,
    now: datetime,
    vault: Vault | None = None,
) -> int:
    """`request_build`, with a decision for each of the jobs that are `told`, or for none."""
    ref = BRANCH_PREFIX + (branch or source.branch)
    env = build_env(source, jobs.of_source(tx, source.id))
    build_id = builds.enqueue(
        tx,
        project_id=source.project_id,
        source_id=source.id,
        key=key_of_build(vault, source, ref, sha, env) if vault and sha else "",
        url=source.url,
        ref=ref,
        sha=sha,
        config=source.build,
        trigger=BuildTrigger(BuildTriggerType.MANUAL, who),
        now=now,
        env=env,
        credential_id=source.credential_id,
        position=place_of(tx, source, ref, sha),
        on_branch=True if sha is None else None,
    )
    what = short(sha) if sha else f"the head of {branch or source.branch}"
    decided: list[tuple[Job | None, int]] = []
    concerned: Sequence[Job | None] = told or [None]
    for job in concerned:
        decision_id = decisions.record(
            tx,
            at=now,
            event=(EventType.MANUAL, f"build:{build_id}"),
            project_id=source.project_id,
            job_id=job.id if job else None,
            verdict=Verdict.BUILT,
            rule="manual",
            sentence=f"Build {build_id} of {what} asked for by {who}.",
            inputs={"sha": sha, "ref": ref},
            build_id=build_id,
        )
        decided.append((job, decision_id))
    note_build_by_hand(tx, source, decided, sha, build_id, now)
    return build_id


def place_of(tx: Tx, source: Source, ref: str, sha: str | None) -> int:
    """Return where a commit stands among a branch's pushes; one that no push told of counts as the newest."""
    history = movements.known(tx, source.project_id, source.repo_key, ref)
    known = next((each.position for each in history if sha is not None and each.after == sha), None)
    return known if known is not None else max((each.position for each in history), default=0)


def build_settings(config: BuildConfig, *, start_required: bool = True) -> BuildSettings:
    return BuildSettings(
        start_required=start_required,
        mode=config.mode,
        root_directory=config.root_directory,
        dockerfile=config.dockerfile,
        target=config.target,
        install_command=config.install_command,
        build_command=config.build_command,
        run_command=config.run_command,
    )


def build_env(source: Source, of_source: Sequence[Job]) -> dict[str, EnvValue]:
    """The build-scope variables of a source: those of the job it belongs to."""
    if source.name is not None or not of_source:
        return {}
    return {name: value for name, value in variables_of(of_source[0]).items() if value.in_build}


def as_for_strangers(source: Source, env: Env) -> tuple[Source, dict[str, EnvValue]]:
    """A source and its variables as a commit is built that anybody may have written: without what is only ours."""
    build = replace(source.build, submodules=False, lfs=False)
    return replace(source, build=build), {name: value for name, value in env.items() if not value.secret}


def key_of_build(vault: Vault, source: Source, ref: str, sha: str, env: Env) -> str:
    """`build_key` with a keyed digest for each secret: the same value is sealed as another text every time."""
    comparable = {
        name: replace(given, value=_digest(vault, source, name, given))
        if given.secret and given.reference is None
        else given
        for name, given in env.items()
    }
    return build_key(source.repo_key, ref, sha, source.build, comparable)


def _digest(vault: Vault, source: Source, name: str, given: EnvValue) -> str:
    try:
        return vault.digest(open_variable(name, given, vault, source.project_id, None), ENV_PURPOSE)
    except JobyardError:
        return given.value  # equal to no other: the build itself will tell what is wrong with it
