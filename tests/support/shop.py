"""An app, its jobs and its pipelines by the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.domain.runs import Outcome, Run, RunStatus
from app.store import runs
from app.workers.deployments import DeploymentWorker
from tests.support.api import Caller, attempt_ends, build_succeeds

P = "/projects/acme"
APPS, JOBS, PIPELINES = f"{P}/apps", f"{P}/jobs", f"{P}/pipelines"
URL = "https://github.com/acme/shop"
ONE, TWO, THREE = ("sha256:" + each * 64 for each in "123")
A, B = "a" * 40, "b" * 40


def job(caller: Caller, name: str, **fields: Any) -> Any:
    source = {"type": "git", "git": {"url": URL, "webhook_secret": "the secret of the hook"}}
    return caller.made(JOBS, {"name": name, "source": source, "run_on_image_change": "cd-promote", **fields})


def empty_job(caller: Caller, name: str, **fields: Any) -> Any:
    return job(caller, name, source={"type": "none"}, **fields)


def settle(caller: Caller) -> None:
    """Every deployment to its end; all runs succeed."""
    context = caller.context
    deployment_worker = DeploymentWorker(context.db, context.clock, context.names)
    while True:
        while deployment_worker.step():
            pass
        queued = [run for run in all_runs(caller) if run.status is RunStatus.QUEUED]
        if not queued:
            return
        for _ in queued:
            attempt_ends(context, Outcome(None, 0))


def all_runs(caller: Caller) -> Sequence[Run]:
    """Newest first."""
    with caller.context.db.read() as tx:
        return runs.page(tx, limit=100)


def deployed(caller: Caller, sha: str, digest: str) -> Any:
    """A deployment of a commit of app shop, live."""
    made = caller.made(f"{APPS}/shop/deployments", {"sha": sha})
    build_succeeds(caller.context, digest_=digest)
    settle(caller)
    return caller.got(f"/deployments/{made['id']}")


def digests(caller: Caller, app: str) -> dict[str, str | None]:
    members = caller.got(f"{APPS}/{app}")["members"]
    return {each["job"]: each["deployed"] and each["deployed"]["digest"] for each in members}


def refused(caller: Caller, path: str, body: Any, status: int, sentence: str) -> None:
    """Nothing is made or moved by a request that is refused with one sentence."""
    before = everything(caller)
    answer = caller.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["detail"]
    assert everything(caller) == before


def everything(caller: Caller) -> object:
    lists = [caller.got(path)["items"] for path in (JOBS, APPS, PIPELINES, "/decisions")]
    return lists, all_runs(caller)
