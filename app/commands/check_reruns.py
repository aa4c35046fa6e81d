"""Started again by the button of a check at GitHub: what the page of the run or of the build starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.commands.builds import request_build
from app.commands.runs import run_again
from app.domain.commit_statuses import StatusState
from app.domain.errors import InvalidValue, JobyardError
from app.domain.events import BRANCH_PREFIX, RepositoryRef, one_line, repo_key, short
from app.domain.runs import Trigger, TriggerType
from app.forges.base import CHECK_SUITE, Forge
from app.runtime.ports import Names, Vault
from app.store import builds, commit_statuses, jobs, projects, runs
from app.store.commit_statuses import Status
from app.store.database import Tx
from app.store.deliveries import Delivery

FAILED = (StatusState.FAILURE, StatusState.ERROR)


@dataclass(frozen=True)
class Asked:
    """What is to start again: of one commit, the check of that name or, without one, all that failed."""

    repository: RepositoryRef
    sha: str
    name: str | None
    who: str


def asked_by(delivery: Delivery, forges: Mapping[str, Forge]) -> Asked:
    """What a stored delivery asks for. Raises InvalidValue."""
    payload = json.loads(delivery.body)
    about = payload.get(delivery.event)
    sha = about.get("head_sha") if isinstance(about, dict) else None
    if not isinstance(sha, str):
        raise InvalidValue("head_sha", f"The payload's {delivery.event}.head_sha must be a commit.")
    name = None if delivery.event == CHECK_SUITE else str(about.get("name"))
    sender = payload.get("sender")
    login = sender.get("login") if isinstance(sender, dict) else None
    who = f"{one_line(str(login))} at GitHub" if login else "somebody at GitHub"
    return Asked(forges[delivery.forge].repository_of(payload), sha, name, who)


def start_again(
    tx: Tx, names: Names, vault: Vault, asked: Asked, scopes: Sequence[str], now: datetime
) -> str:
    """Start what is asked for, in projects that the delivery is for; returns what came of it."""
    found = [
        status
        for project_id in sorted(projects.projects_of(tx, scopes))
        for status in commit_statuses.of_commit(tx, project_id, asked.sha)
        if repo_key(status.url) in asked.repository.keys and _is_meant(status, asked)
    ]
    if not found:
        return f"Nothing of commit {short(asked.sha)} is there that could be started again."
    return " ".join(_started(tx, names, vault, status, asked, now) for status in found)


def _is_meant(status: Status, asked: Asked) -> bool:
    if asked.name is not None:
        return status.context == asked.name
    return status.told is not None and status.told.state in FAILED


def _started(tx: Tx, names: Names, vault: Vault, status: Status, asked: Asked, now: datetime) -> str:
    try:
        if status.run_id is not None:
            trigger = Trigger(TriggerType.MANUAL, by=asked.who)
            run = runs.with_id(tx, status.run_id)
            again = run_again(tx, names, run, "same", trigger, now, confirm_paused=False)
            return f"Run {run.name} is started again as {runs.with_id(tx, again).name}."
        if status.build_id is None or status.job_id is None:
            return f"Nothing was built or run for {status.context}, so nothing is started again."
        build = builds.with_id(tx, status.build_id)
        if not build.ref.startswith(BRANCH_PREFIX):
            return f"Build {build.id} is of no branch: replay its delivery to have it built again."
        job = jobs.still_there(tx, status.job_id)
        branch = build.ref.removeprefix(BRANCH_PREFIX)
        made = request_build(tx, job, sha=asked.sha, branch=branch, who=asked.who, now=now, vault=vault)
        return f"Build {build.id} is made again as build {made}."
    except JobyardError as error:
        return f"{status.context} is not started again: {error}"
