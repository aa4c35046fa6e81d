"""Projects, and which webhook secrets stand for which repositories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import JSON, type_coerce
from sqlalchemy import delete as delete_rows
from sqlmodel import and_, col, select

from app.domain.commit_statuses import Statuses
from app.domain.documents import Stored
from app.domain.errors import Conflict, NotFound
from app.domain.generic_webhooks import GenericWebhook, webhook_from_json, webhook_to_json
from app.domain.job.spec import Hardening, Network
from app.domain.sealing import Place, of_app_hook, of_project_hook, of_source_hook
from app.store.database import Tx, touch
from app.store.identity import reserved_id
from app.store.schema import GithubAppRow, JobRow, ProjectRow, SourceRow, UnknownRepositoryRow

UNKNOWN_KEPT = 10


@dataclass(frozen=True)
class Project:
    """A namespace. `webhook_secret` is sealed; `limits` are those of its own, by their names.

    `hardening` is what all its runs are held to.
    """

    id: int
    name: str
    created_at: datetime
    webhook_secret: str | None = field(default=None, repr=False)
    limits: Mapping[str, float] = field(default_factory=dict)
    hardening: Hardening = field(default_factory=Hardening)
    generic_webhook: GenericWebhook | None = None
    public: bool = False  # anybody may see how its jobs are doing: by badges, and on a page of its own
    commit_statuses: Statuses = Statuses.ONE


@dataclass(frozen=True)
class WebhookSecret:
    """A sealed secret and its scope: `project:ID`, for all the project's repositories, or `source:ID`."""

    scope: str
    sealed: str = field(repr=False)
    place: Place


def create(
    tx: Tx, name: str, webhook_secret: str | None, now: datetime, project_id: int | None = None
) -> Project:
    if tx.exec(select(ProjectRow).where(ProjectRow.name == name)).first():
        raise Conflict(f"There is a project named {name} already.")
    row = ProjectRow(
        id=project_id or reserved_id(tx, "project"), name=name, webhook_secret=webhook_secret, created_at=now
    )
    tx.add(row)
    tx.flush()
    touch(tx, "projects")
    return _value(row)


def find(tx: Tx, name: str) -> Project | None:
    row = tx.exec(select(ProjectRow).where(ProjectRow.name == name)).first()
    return None if row is None else _value(row)


def named(tx: Tx, name: str) -> Project:
    found = find(tx, name)
    if found is None:
        raise NotFound(f"There is no project named {name}.")
    return found


def with_id(tx: Tx, project_id: int) -> Project:
    row = tx.get(ProjectRow, project_id)
    if row is None:
        raise NotFound(f"There is no project {project_id}.")
    return _value(row)


def page(tx: Tx, limit: int, before: int | None, *, only: frozenset[int] | None = None) -> Sequence[Project]:
    """Newest first: of all, or only of those with these ids."""
    query = select(ProjectRow).order_by(col(ProjectRow.id).desc()).limit(limit)
    if only is not None:
        query = query.where(col(ProjectRow.id).in_(only))
    if before is not None:
        query = query.where(col(ProjectRow.id) < before)
    return [_value(row) for row in tx.exec(query)]


def set_webhook_secret(tx: Tx, project_id: int, sealed: str | None) -> None:
    row = tx.get_one(ProjectRow, project_id)
    row.webhook_secret = sealed
    touch(tx, "projects")


def hardening_of(tx: Tx, project_id: int) -> Hardening:
    """What all runs of a project are held to."""
    return _hardening(tx.exec(select(ProjectRow.hardening).where(ProjectRow.id == project_id)).one())


def set_hardening(tx: Tx, project_id: int, hardening: Hardening) -> None:
    row = tx.get_one(ProjectRow, project_id)
    row.hardening = (
        None if hardening == Hardening() else {**asdict(hardening), "network": hardening.network.value}
    )
    touch(tx, "projects")


def set_public(tx: Tx, project_id: int, public: bool) -> None:
    tx.get_one(ProjectRow, project_id).public = public
    touch(tx, "projects")


def set_commit_statuses(tx: Tx, project_id: int, statuses: Statuses) -> None:
    tx.get_one(ProjectRow, project_id).commit_statuses = statuses
    touch(tx, "projects")


def set_generic_webhook(tx: Tx, project_id: int, webhook: GenericWebhook | None) -> None:
    tx.get_one(ProjectRow, project_id).generic_webhook = None if webhook is None else webhook_to_json(webhook)
    touch(tx, "projects")


def generic_webhooks(tx: Tx) -> Mapping[str, tuple[int, GenericWebhook]]:
    """Every generic webhook by its id, with the project that it is of."""
    query = select(ProjectRow.id, ProjectRow.generic_webhook).where(
        col(ProjectRow.generic_webhook).is_not(None)
    )
    read = ((project_id, webhook_from_json(stored)) for project_id, stored in tx.exec(query))
    return {webhook.id: (project_id, webhook) for project_id, webhook in read if webhook is not None}


def delete(tx: Tx, project_id: int) -> None:
    """Remove an empty project with its history. Raises Conflict while it has jobs."""
    has_job = select(JobRow.id).where(JobRow.project_id == project_id, col(JobRow.deleted_at).is_(None))
    if tx.exec(has_job.limit(1)).first() is not None:
        raise Conflict("The project still has jobs: delete them first.")
    tx.delete(tx.get_one(ProjectRow, project_id))
    touch(tx, "projects")


def scopes_of(tx: Tx, project_id: int) -> frozenset[str]:
    """Return what deliveries for this project may have been verified by."""
    sources = tx.exec(select(SourceRow.id).where(SourceRow.project_id == project_id))
    return frozenset({f"project:{project_id}", *(f"source:{source_id}" for source_id in sources)})


def webhook_secrets(tx: Tx) -> Sequence[WebhookSecret]:
    """Every sealed webhook secret there is: of projects, of single sources and of GitHub Apps."""
    return [*_own_secrets(tx), *_secrets_of_apps(tx)]


def _own_secrets(tx: Tx) -> Sequence[WebhookSecret]:
    of_projects = select(ProjectRow.id, ProjectRow.webhook_secret).where(
        col(ProjectRow.webhook_secret).is_not(None)
    )
    of_sources = select(SourceRow.project_id, SourceRow.id, SourceRow.webhook_secret).where(
        col(SourceRow.webhook_secret).is_not(None)
    )
    return [
        *(
            WebhookSecret(f"project:{id_}", sealed or "", of_project_hook(id_))
            for id_, sealed in tx.exec(of_projects)
        ),
        *(
            WebhookSecret(f"source:{id_}", sealed or "", of_source_hook(project_id, id_))
            for project_id, id_, sealed in tx.exec(of_sources)
        ),
    ]


def _secrets_of_apps(tx: Tx) -> Sequence[WebhookSecret]:
    """Those of GitHub Apps, each of which speaks for all the project's repositories."""
    found = tx.exec(
        select(GithubAppRow.project_id, GithubAppRow.id, GithubAppRow.webhook_secret).where(
            col(GithubAppRow.webhook_secret).is_not(None)
        )
    )
    return [
        WebhookSecret(f"project:{project_id}", sealed or "", of_app_hook(project_id, id_))
        for project_id, id_, sealed in found
    ]


def named_webhook_secrets(tx: Tx) -> Sequence[tuple[str, WebhookSecret]]:
    """Every sealed webhook secret that people chose, with what it is of, as a sentence can begin with it."""
    known = {each.scope: each for each in _own_secrets(tx)}
    of_projects = select(ProjectRow.id, ProjectRow.name)
    of_sources = (
        select(SourceRow.id, ProjectRow.name, SourceRow.name, JobRow.name)
        .join(ProjectRow, col(ProjectRow.id) == col(SourceRow.project_id))
        .outerjoin(JobRow, and_(col(JobRow.source_id) == col(SourceRow.id), col(SourceRow.name).is_(None)))
        .where(col(JobRow.deleted_at).is_(None))
    )
    found = [(f"project:{project_id}", f"Project {name}") for project_id, name in tx.exec(of_projects)]
    for source_id, project, service, job in tx.exec(of_sources):
        what = f"job {job}" if service is None else f"build service {service}"
        found.append((f"source:{source_id}", f"Project {project}, {what}"))
    return [(name, known[scope]) for scope, name in found if scope in known]


def repositories_in_scope(tx: Tx) -> Mapping[tuple[str, str], int]:
    """Every (scope, repository key) that a webhook may speak for, and the project it does so in."""
    found = tx.exec(select(SourceRow.id, SourceRow.project_id, SourceRow.repo_key))
    return {
        (scope, key): project
        for source, project, key in found
        for scope in (f"source:{source}", f"project:{project}")
    }


def scopes_of_pull_requests(tx: Tx) -> frozenset[tuple[str, str]]:
    """Every (scope, repository key) for which something builds pull requests."""
    wanted = type_coerce(col(SourceRow.build), JSON)["pull_requests"].as_boolean()
    found = tx.exec(select(SourceRow.id, SourceRow.project_id, SourceRow.repo_key).where(wanted.is_(True)))
    return frozenset(
        (scope, key) for source, project, key in found for scope in (f"source:{source}", f"project:{project}")
    )


def projects_of(tx: Tx, scopes: Sequence[str]) -> frozenset[int]:
    """The projects whose own or whose sources' secrets these scopes name."""
    named = [(kind, int(id_)) for kind, _, id_ in (scope.partition(":") for scope in scopes)]
    sources = [id_ for kind, id_ in named if kind == "source"]
    of_sources = tx.exec(select(SourceRow.project_id).where(col(SourceRow.id).in_(sources)))
    return frozenset({id_ for kind, id_ in named if kind == "project"}.union(of_sources))


@dataclass(frozen=True)
class UnknownRepository:
    """Calls with the right secret about a repository that nothing in the project has."""

    name: str
    calls: int
    last_at: datetime


def count_unknown_repository(tx: Tx, project_id: int, name: str, now: datetime) -> None:
    """Remember such a call; of each project only the latest few names are kept."""
    row = tx.exec(
        select(UnknownRepositoryRow).where(
            UnknownRepositoryRow.project_id == project_id, UnknownRepositoryRow.name == name
        )
    ).first() or UnknownRepositoryRow(project_id=project_id, name=name, calls=0, last_at=now)
    row.calls, row.last_at = row.calls + 1, now
    tx.add(row)
    tx.flush()
    kept = (
        select(UnknownRepositoryRow.id)
        .where(UnknownRepositoryRow.project_id == project_id)
        .order_by(col(UnknownRepositoryRow.last_at).desc(), col(UnknownRepositoryRow.id).desc())
        .limit(UNKNOWN_KEPT)
    )
    older = delete_rows(UnknownRepositoryRow).where(
        col(UnknownRepositoryRow.project_id) == project_id,
        col(UnknownRepositoryRow.id).not_in(tx.exec(kept).all()),
    )
    tx.connection().execute(older)
    touch(tx, "unknown_repositories")


def unknown_repositories_of_all(tx: Tx) -> Sequence[tuple[str, str]]:
    """Those of each project, by the project's name."""
    query = select(ProjectRow.id, ProjectRow.name).where(
        col(ProjectRow.id).in_(select(UnknownRepositoryRow.project_id))
    )
    found = tx.exec(query.order_by(ProjectRow.name)).all()
    return [(name, each.name) for project_id, name in found for each in unknown_repositories(tx, project_id)]


def unknown_repositories(tx: Tx, project_id: int) -> Sequence[UnknownRepository]:
    """Newest first, without those that a source of the project has by now."""
    rows = tx.exec(
        select(UnknownRepositoryRow)
        .where(UnknownRepositoryRow.project_id == project_id)
        .order_by(col(UnknownRepositoryRow.last_at).desc())
    )
    keys = tx.exec(select(SourceRow.repo_key).where(SourceRow.project_id == project_id)).all()
    return [
        UnknownRepository(row.name, row.calls, row.last_at)
        for row in rows
        if not any(key.lower().endswith(f"/{row.name.lower()}") for key in keys)
    ]


def _value(row: ProjectRow) -> Project:
    return Project(
        row.id,
        row.name,
        row.created_at,
        row.webhook_secret,
        row.limits or {},
        _hardening(row.hardening),
        webhook_from_json(row.generic_webhook),
        row.public,
        Statuses(row.commit_statuses),
    )


def _hardening(stored: Stored | None) -> Hardening:
    given = dict(stored or {})
    return Hardening(**given | {"network": Network(given.get("network", Network.DEFAULT))})
