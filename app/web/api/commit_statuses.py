"""Statuses of commits: what their forges were told, or why not."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.store import commit_statuses
from app.web.api.operations import ApiContext, Operation
from app.web.schemas.base import Empty, Model, with_example
from app.web.schemas.commit_status import CommitStatusAnswer, commit_status_answers
from app.web.schemas.fields import Sha
from app.web.scope import build_of, project_of, run_of


class CommitQuery(Model):
    model_config = with_example({"sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d"})

    sha: Sha = Field(description="all 40 digits of the commit")


class CommitStatusesAnswer(Model):
    """One of each job, or two where the project has two."""

    items: list[CommitStatusAnswer]


def list_of_commit(ctx: ApiContext[Empty, CommitQuery]) -> Any:
    with ctx.server.db.read() as tx:
        found = commit_statuses.of_commit(tx, project_of(ctx, tx).id, ctx.query.sha)
    return CommitStatusesAnswer(items=commit_status_answers(found))


def list_of_build(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        found = commit_statuses.about(tx, builds=[build_of(ctx, tx).id])
    return CommitStatusesAnswer(items=commit_status_answers(found))


def list_of_run(ctx: ApiContext[Empty, Empty]) -> Any:
    with ctx.server.db.read() as tx:
        found = commit_statuses.about(tx, runs=[run_of(ctx, tx).id])
    return CommitStatusesAnswer(items=commit_status_answers(found))


OPERATIONS = (
    Operation(
        "GET",
        "/projects/{p}/commit-statuses",
        "What a commit's forge is told of it for the jobs of a project",
        list_of_commit,
        query=CommitQuery,
        answer=CommitStatusesAnswer,
    ),
    Operation(
        "GET",
        "/builds/{id}/commit-statuses",
        "What a commit's forge is told by a build",
        list_of_build,
        answer=CommitStatusesAnswer,
    ),
    Operation(
        "GET",
        "/runs/{id}/commit-statuses",
        "What a commit's forge is told by a run",
        list_of_run,
        answer=CommitStatusesAnswer,
    ),
)
