"""What forges are told: statuses of commits, and where their webhooks lead."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column as SaColumn
from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.store.schema.columns import (
    BigInt,
    id_column,
    partial,
    ref_column,
    table_args,
    text_column,
    time_column,
)


class CommitStatusRow(SQLModel, table=True):
    """What is said of a commit and a job at the forge, and how far that is posted.

    One is `of_run` where the project has two of a commit; `part` is what it tells of. `build_id` and `run_id` are what
    it follows while it `is_open`; `is_fresh` until a worker has looked at what a push or a person wrote there.
    `version` grows with what is said, `posted_version` is the one that was posted last. It is posted at `due_at`;
    while it is `in_hand`, that is when whoever posts it is given up. `is_given_up`: nothing more is tried, and `said`
    tells why. `once_more`: it may be that an older one was posted over a newer.
    """

    __tablename__ = "commit_status"
    __table_args__ = table_args(
        Index(
            "uq_commit_status_project_id_sha_name_of_run", "project_id", "sha", "name", "of_run", unique=True
        ),
        partial("ix_commit_status_open", "id", where="is_open"),
        partial("ix_commit_status_due_at", "due_at", where="due_at IS NOT NULL"),
        partial("ix_commit_status_build_id", "build_id", where="build_id IS NOT NULL"),
        partial("ix_commit_status_run_id", "run_id", where="run_id IS NOT NULL"),
        partial("ix_commit_status_decision_id", "decision_id", where="decision_id IS NOT NULL"),
        Index("ix_commit_status_changed_at", "changed_at"),
        partial("ix_commit_status_given_up", "project_id", "id", where="is_given_up"),
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    job_id: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    name: str
    of_run: bool = False
    part: str = ""
    url: str = text_column()
    host: str
    forge: str = ""
    sha: str
    build_id: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    run_id: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    decision_id: int | None = Field(default=None, sa_column=SaColumn(BigInt))
    noted: str = text_column()
    is_fresh: bool = True
    is_open: bool = True
    context: str = ""
    state: str = ""
    sentence: str = text_column()
    page: str = ""
    version: int = 0
    posted_version: int = 0
    posted_at: datetime | None = time_column()
    due_at: datetime | None = time_column()
    in_hand: bool = False
    once_more: bool = False
    is_given_up: bool = False
    tries: int = 0
    failing_since: datetime | None = time_column()
    said: str = text_column()
    posted_as: str | None = None  # what the forge calls what is posted, while it may still be changed there
    changed_at: datetime = time_column(null=False)


class RepositoryHookRow(SQLModel, table=True):
    """The webhook that was made for a project at the forge of one of its repositories, and the last look at it.

    `hook_id` and `address` are empty where there is none; `problem` says what is wrong, or why it is not known. The
    forge knows the secret of `told_version`, and after `tries` to tell it the one of now is asked again at `due_at`.
    """

    __tablename__ = "repository_hook"
    __table_args__ = table_args(
        Index("uq_repository_hook_project_id_repo_key", "project_id", "repo_key", unique=True)
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    repo_key: str
    hook_id: str = ""
    address: str = text_column()
    problem: str = text_column()
    said: str = text_column()
    checked_at: datetime = time_column(null=False)
    secret_version: int = 0
    told_version: int = 0
    tries: int = 0
    due_at: datetime | None = time_column()


class RefusedCallRow(SQLModel, table=True):
    """Calls about a repository of a project that no secret of it signed, since its secret was changed or the first."""

    __tablename__ = "refused_call"
    __table_args__ = table_args(
        Index("uq_refused_call_project_id_repo_key", "project_id", "repo_key", unique=True)
    )
    id: int = id_column()
    project_id: int = ref_column("project.id")
    repo_key: str
    calls: int = 0
    since: datetime = time_column(null=False)
    last_at: datetime = time_column(null=False)
