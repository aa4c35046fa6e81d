"""Credentials of a project: for Git servers and image registries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select

from app.domain.errors import Conflict, NotFound
from app.domain.host_keys import HostKey, keys_in
from app.store.database import Tx, touch
from app.store.identity import reserved_id
from app.store.schema import BuildRow, CredentialRow, ProjectRow, SourceRow


@dataclass(frozen=True)
class Credential:
    """`kind` is git or registry; `host` is where it is sent, empty for one of old, sent nowhere; `secret` is sealed.

    `public_key` is that of a secret that is a private key. Its ssh server has to have one of the `host_keys`, which a
    person has confirmed or (`host_keys_confirmed` is false) the server showed first; empty while nothing is pinned.
    `api_url` is where the API of a Git server is, empty for where its kind has it; `forge` is that kind, empty where
    the host or that address tells.
    """

    id: int
    project_id: int
    name: str
    kind: str
    host: str
    username: str
    created_at: datetime
    secret: str = field(repr=False)
    public_key: str | None = None
    host_keys: tuple[HostKey, ...] = ()
    host_keys_confirmed: bool = False
    api_url: str = ""
    forge: str = ""


def create(
    tx: Tx,
    project_id: int,
    *,
    name: str,
    kind: str,
    host: str,
    username: str,
    secret: str,
    now: datetime,
    credential_id: int | None = None,
    public_key: str | None = None,
    api_url: str = "",
    forge: str = "",
) -> Credential:
    if find(tx, project_id, name) is not None:
        raise Conflict(f"There is a credential named {name} in this project already.")
    row = CredentialRow(
        id=credential_id or reserved_id(tx, "credential"),
        project_id=project_id,
        name=name,
        kind=kind,
        host=host,
        username=username,
        secret=secret,
        public_key=public_key,
        api_url=api_url,
        forge=forge,
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    touch(tx, "projects")
    return _value(row)


def find(tx: Tx, project_id: int, name: str) -> Credential | None:
    query = select(CredentialRow).where(CredentialRow.project_id == project_id, CredentialRow.name == name)
    row = tx.exec(query).first()
    return None if row is None else _value(row)


def with_id(tx: Tx, credential_id: int) -> Credential:
    row = tx.get(CredentialRow, credential_id)
    if row is None:
        raise NotFound(f"There is no credential {credential_id}.")
    return _value(row)


def of_kind(tx: Tx, project_id: int, kind: str) -> Sequence[Credential]:
    """Return all of a project's credentials of a kind, oldest first."""
    query = select(CredentialRow).where(CredentialRow.project_id == project_id, CredentialRow.kind == kind)
    return [_value(row) for row in tx.exec(query.order_by(col(CredentialRow.id)))]


def telling_forges(tx: Tx, project_id: int) -> dict[str, Credential]:
    """By their hosts, those which say what kind of forge that is, or where its API is."""
    return {each.host: each for each in of_kind(tx, project_id, "git") if each.forge or each.api_url}


def of_repository(tx: Tx, project_id: int, repo_key: str) -> frozenset[int]:
    """Return the ids of the credentials that a project fetches a repository with."""
    query = select(SourceRow.credential_id).where(
        SourceRow.repo_key == repo_key, SourceRow.project_id == project_id
    )
    return frozenset(found for found in tx.exec(query) if found is not None)


def named(tx: Tx, project_id: int, name: str) -> Credential:
    found = find(tx, project_id, name)
    if found is None:
        raise NotFound(f"There is no credential named {name} in this project.")
    return found


def page(tx: Tx, project_id: int, limit: int, before: int | None = None) -> Sequence[Credential]:
    query = select(CredentialRow).where(CredentialRow.project_id == project_id)
    if before is not None:
        query = query.where(col(CredentialRow.id) < before)
    return [_value(row) for row in tx.exec(query.order_by(col(CredentialRow.id).desc()).limit(limit))]


def without_host(tx: Tx) -> Sequence[tuple[str, str]]:
    """Project and name of those that were kept when a host could be left out: they are sent nowhere."""
    query = select(ProjectRow.name, CredentialRow.name).join(
        ProjectRow, col(ProjectRow.id) == col(CredentialRow.project_id)
    )
    return tx.exec(query.where(CredentialRow.host == "").order_by(col(CredentialRow.id))).all()


def change(
    tx: Tx,
    credential: Credential,
    *,
    host: str,
    username: str,
    secret: str,
    public_key: str | None,
    api_url: str | None = None,
    forge: str | None = None,
) -> Credential:
    """Another host, user, sealed secret and (None leaves them) address and kind of the forge's API, for all that name
    it.
    """
    row = tx.get_one(CredentialRow, credential.id)
    row.host, row.username, row.secret, row.public_key = host, username, secret, public_key
    row.api_url = row.api_url if api_url is None else api_url
    row.forge = row.forge if forge is None else forge
    tx.flush()
    touch(tx, "projects")
    return _value(row)


def set_host_keys(tx: Tx, credential: Credential, keys: Sequence[HostKey]) -> Credential:
    """The keys that a person confirmed; without any, the next connection pins what is shown then."""
    row = tx.get_one(CredentialRow, credential.id)
    row.host_keys, row.host_keys_confirmed = _lines(keys), bool(keys)
    tx.flush()
    touch(tx, "projects")
    return _value(row)


def pin_host_keys(tx: Tx, credential_id: int, keys: Sequence[HostKey]) -> bool:
    """Pin what a server showed at the first connection; False if some are pinned already, or the row is gone."""
    free = update(CredentialRow).where(
        col(CredentialRow.id) == credential_id, col(CredentialRow.host_keys) == ""
    )
    pinned = tx.connection().execute(free.values(host_keys=_lines(keys))).rowcount == 1
    if pinned:
        touch(tx, "projects")
    return pinned


def delete(tx: Tx, credential: Credential) -> None:
    """Raises Conflict while a source is fetched with it. Builds that were made with it stay."""
    in_use = select(SourceRow.id).where(SourceRow.credential_id == credential.id).limit(1)
    if tx.exec(in_use).first() is not None:
        raise Conflict(
            f"Credential {credential.name} is in use: name another in the jobs that have it first."
        )
    made_with = update(BuildRow).where(col(BuildRow.credential_id) == credential.id)
    tx.connection().execute(made_with.values(credential_id=None))
    tx.delete(tx.get_one(CredentialRow, credential.id))
    touch(tx, "projects")


def _lines(keys: Sequence[HostKey]) -> str:
    return "\n".join(map(str, keys))


def _value(row: CredentialRow) -> Credential:
    return Credential(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        kind=row.kind,
        host=row.host,
        username=row.username,
        created_at=row.created_at,
        secret=row.secret,
        public_key=row.public_key,
        host_keys=tuple(keys_in(row.host_keys)),
        host_keys_confirmed=row.host_keys_confirmed,
        api_url=row.api_url,
        forge=row.forge,
    )
