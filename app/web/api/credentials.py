"""Credentials: for Git servers and image registries. What is secret goes in and never comes out."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from app.domain.errors import Conflict
from app.domain.jobs import Job
from app.orchestration.ports import CREDENTIAL_PURPOSE
from app.store import credentials, jobs
from app.store.credentials import Credential
from app.store.database import Tx
from app.web.api.forms.fields import Name, Time
from app.web.api.operations import Call, Confirm, Empty, Model, Operation, Page, Paging, with_example
from app.web.api.scope import confirmed, paged, project_of, within
from app.web.principal import Role

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")


def _host(value: str) -> str:
    if value and not _HOST.fullmatch(value):
        raise ValueError("must be a host such as github.com or registry.example.com:5000")
    return value


class CredentialForm(Model):
    """A user and password or token. It is sent to `host` alone, if that is given."""

    model_config = with_example({"name": "github", "kind": "git", "host": "github.com", "secret": "a token"})

    name: Name
    kind: Literal["git", "registry"]
    host: Annotated[str, AfterValidator(_host)] = ""
    username: str = Field(default="", max_length=255)
    secret: str = Field(min_length=1, max_length=20_000, repr=False, description="write-only")


class CredentialAnswer(Model):
    id: int
    name: str
    kind: Literal["git", "registry"]
    host: str
    username: str
    secret: None = None
    created_at: Time


def list_credentials(call: Call[Empty, Paging]) -> Any:
    with call.yard.db.read() as tx:
        project = project_of(call, tx)
        return paged(
            call,
            lambda limit, before: credentials.page(tx, project.id, limit, before),
            lambda found: [_answer(each) for each in found],
        )


def create_credential(call: Call[CredentialForm, Empty]) -> Any:
    form = call.body
    with call.yard.db.write() as tx:
        project = project_of(call, tx, Role.ADMIN)
        made = credentials.create(
            tx,
            project.id,
            name=form.name,
            kind=form.kind,
            host=form.host,
            username=form.username,
            secret=call.yard.vault.seal(form.secret, CREDENTIAL_PURPOSE),
            now=call.yard.clock.now(),
        )
    return _answer(made)


def delete_credential(call: Call[Empty, Confirm]) -> None:
    with call.yard.db.write() as tx:
        project = project_of(call, tx, Role.ADMIN)
        name = call.path["c"]
        found = within(
            call, Role.ADMIN, f"credential {name}", lambda: credentials.named(tx, project.id, name)
        )
        confirmed(call, name)
        _refuse_in_use(tx, found)
        credentials.delete(tx, found)


def _refuse_in_use(tx: Tx, credential: Credential) -> None:
    """Jobs of an image name their credential in the definition; those of a repository are kept by the store."""
    before: int | None = None
    while page := jobs.page(tx, project_id=credential.project_id, before=before):
        user = next((job.name for job in page if _names(job, credential.name)), None)
        if user is not None:
            raise Conflict(f"Credential {credential.name} is in use by job {user}: name another there first.")
        before = page[-1].id


def _names(job: Job, credential: str) -> bool:
    source = job.definition["source"]
    return credential in (source.get("credential"), (source.get("git") or {}).get("credential"))


def _answer(credential: Credential) -> CredentialAnswer:
    fields = {name: getattr(credential, name) for name in CredentialAnswer.model_fields if name != "secret"}
    return CredentialAnswer(**fields)


PATH = "/projects/{p}/credentials"
OPERATIONS = (
    Operation(
        "GET",
        PATH,
        "List a project's credentials",
        list_credentials,
        query=Paging,
        answer=Page[CredentialAnswer],
    ),
    Operation(
        "POST",
        PATH,
        "Keep a credential",
        create_credential,
        Role.ADMIN,
        body=CredentialForm,
        answer=CredentialAnswer,
        status=201,
    ),
    Operation(
        "DELETE",
        PATH + "/{c}",
        "Forget a credential",
        delete_credential,
        Role.ADMIN,
        query=Confirm,
        status=204,
    ),
)
