"""GitHub Apps of projects: what belongs to one besides its credential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlmodel import col, select

from app.domain.errors import NotFound
from app.store.credentials import Credential, with_id
from app.store.database import Tx, touch
from app.store.schema import GithubAppRow

KIND = "github-app"


@dataclass(frozen=True)
class GithubApp:
    """`credential` has the private key and says where it is sent; `webhook_secret` is sealed; `slug` may be empty."""

    id: int
    credential: Credential
    app_id: int
    slug: str
    webhook_secret: str | None = field(default=None, repr=False)

    @property
    def project_id(self) -> int:
        return self.credential.project_id

    @property
    def api_url(self) -> str:
        return self.credential.api_url

    @property
    def name(self) -> str:
        return self.credential.name


def create(
    tx: Tx,
    credential: Credential,
    *,
    id_: int,
    app_id: int,
    slug: str,
    webhook_secret: str | None,
) -> GithubApp:
    row = GithubAppRow(
        id=id_,
        project_id=credential.project_id,
        credential_id=credential.id,
        app_id=app_id,
        slug=slug,
        webhook_secret=webhook_secret,
    )
    tx.add(row)
    tx.flush()
    touch(tx, "projects")
    return _value(row, credential)


def change(tx: Tx, app: GithubApp, *, webhook_secret: str | None, slug: str) -> GithubApp:
    row = tx.get_one(GithubAppRow, app.id)
    row.webhook_secret, row.slug = webhook_secret, slug
    tx.flush()
    touch(tx, "projects")
    return _value(row, with_id(tx, row.credential_id))


def find(tx: Tx, credential_id: int) -> GithubApp | None:
    """The App of a credential; None for one that is of another kind."""
    row = tx.exec(select(GithubAppRow).where(GithubAppRow.credential_id == credential_id)).first()
    return None if row is None else _value(row, with_id(tx, credential_id))


def named(tx: Tx, project_id: int, name: str) -> GithubApp:
    for app in of_project(tx, project_id):
        if app.name == name:
            return app
    raise NotFound(f"There is no GitHub App named {name} in this project.")


def of_project(tx: Tx, project_id: int) -> Sequence[GithubApp]:
    """All of a project, oldest first."""
    rows = tx.exec(
        select(GithubAppRow).where(GithubAppRow.project_id == project_id).order_by(col(GithubAppRow.id))
    )
    return [_value(row, with_id(tx, row.credential_id)) for row in rows.all()]


def everywhere(tx: Tx) -> Sequence[GithubApp]:
    """Those of all projects, oldest first."""
    rows = tx.exec(select(GithubAppRow).order_by(col(GithubAppRow.id)))
    return [_value(row, with_id(tx, row.credential_id)) for row in rows.all()]


def _value(row: GithubAppRow, credential: Credential) -> GithubApp:
    return GithubApp(row.id, credential, row.app_id, row.slug, row.webhook_secret)
