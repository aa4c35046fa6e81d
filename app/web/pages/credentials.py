"""`/projects/{p}/credentials`: keep, change and forget what opens repositories and registries; secrets only go in."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.domain.errors import UserError
from app.store import credentials
from app.store.credentials import Credential
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.credentials import CredentialForm, CredentialPatch, define, redefine, remove
from app.web.api.reading import read_value
from app.web.pages import projects
from app.web.pages.projects import project_of
from app.web.pages.refusals import placed, refused, require_named
from app.web.pages.visit import Visit, get, post, see
from app.web.principal import Role
from app.web.problems import Problem

SHOWN = ("name", "kind", "host", "username")
FIELDS = frozenset({*SHOWN, "secret"})


def credential_of(tx: Tx, visit: Visit) -> Credential:
    return credentials.named(tx, project_of(tx, visit).id, visit.path("credential"))


def address(project: Project, credential: Credential) -> str:
    return f"{projects.address(project)}/credentials/{credential.name}"


def show_new(visit: Visit) -> Response:
    return _page(visit, None, {"kind": visit.query("kind") or "git"})


def make_credential(visit: Visit) -> Response:
    given = {name: visit.field(name).strip() for name in SHOWN}
    secret = (
        {"secret": visit.field("secret")} if visit.field("secret") else {}
    )  # else the API says it is missing
    try:
        form = read_value(CredentialForm, {**given, **secret}, visit.yard)
        with visit.yard.db.write() as tx:
            project = project_of(tx, visit)
            define(tx, visit.yard, project, form)
    except (UserError, Problem, ValidationError) as error:
        return _page(visit, None, given, problem=refused(error))
    return see(f"{projects.address(project)}#credentials")


def show_credential(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        credential = credential_of(tx, visit)
    return _page(visit, credential, _texts(credential))


def _texts(credential: Credential) -> dict[str, str]:
    return {name: str(getattr(credential, name)) for name in SHOWN}


def save_credential(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        credential = credential_of(tx, visit)
    given = {"username": visit.field("username").strip()}
    if not credential.host:
        given["host"] = visit.field("host").strip()
    try:
        patch = read_value(CredentialPatch, {**given, "secret": visit.field("secret") or None}, visit.yard)
        with visit.yard.db.write() as tx:
            project = project_of(tx, visit)
            redefine(tx, visit.yard, credential_of(tx, visit), patch)
    except (UserError, Problem, ValidationError) as error:
        return _page(visit, credential, {**_texts(credential), **given}, problem=refused(error))
    return see(f"{address(project, credential)}?saved=1")


def delete_credential(visit: Visit) -> Response:
    with visit.yard.db.read() as tx:
        project, credential = project_of(tx, visit), credential_of(tx, visit)
    try:
        require_named(visit, credential.name, "credential")
        with visit.yard.db.write() as tx:
            remove(tx, credential_of(tx, visit))
    except UserError as error:
        return _page(visit, credential, _texts(credential), undeleted=refused(error))
    return see(projects.address(project))


def _page(
    visit: Visit,
    credential: Credential | None,
    given: Mapping[str, str],
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
) -> Response:
    with visit.yard.db.read() as tx:
        project = project_of(tx, visit)
    errors, left = placed(problem, FIELDS)
    said = problem or undeleted
    path = f"{projects.address(project)}/credentials"
    return visit.page(
        "credential.html",
        200 if said is None else said.status,
        project=project,
        credential=credential,
        action=address(project, credential) if credential else path,
        given=given,
        errors=errors,
        left=left,
        saved=bool(visit.query("saved")),
        retype=["secret"] if visit.field("secret") else [],
        undeleted="" if undeleted is None else undeleted.detail,
    )


def routes() -> list[Route]:
    path = "/projects/{project}/credentials"
    return [
        get(path, show_new, Role.ADMIN),
        post(path, make_credential, Role.ADMIN),
        get(f"{path}/{{credential}}", show_credential, Role.ADMIN),
        post(f"{path}/{{credential}}", save_credential, Role.ADMIN),
        post(f"{path}/{{credential}}/delete", delete_credential, Role.ADMIN),
    ]
