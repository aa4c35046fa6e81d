"""`/projects/{p}/credentials`: keep, change and forget what opens repositories and registries; secrets only go in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.credentials import (
    change_credential,
    define_credential,
    host_keys_from,
    pinned_host_keys,
    remove_credential,
    shown_host_keys,
)
from app.domain.errors import TransientError, UserError
from app.domain.host_keys import COPIES_OF, PUBLISHED, HostKey
from app.domain.principals import Right
from app.store import credentials, github_apps
from app.store.credentials import Credential
from app.store.database import Tx
from app.store.projects import Project
from app.web.pages import projects
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused, require_named
from app.web.pages.form_versions import require_unchanged, version_of
from app.web.problems import Problem
from app.web.reach import look_up
from app.web.reading import read_value
from app.web.schemas.credential import CredentialForm, CredentialPatch
from app.web.scope import project_of

SHOWN = ("name", "kind", "host", "username", "api_url", "forge")
FIELDS = frozenset({*SHOWN, "secret", "ssh_key"})


def credential_of(ctx: PageContext, tx: Tx) -> Credential:
    project, name = project_of(ctx, tx), ctx.path("credential")
    return look_up(ctx, f"credential {name}", lambda: credentials.named(tx, project.id, name))


def address(project: Project, credential: Credential) -> str:
    return f"{projects.address(project)}/credentials/{credential.name}"


def show_new(ctx: PageContext) -> Response:
    return _page(ctx, None, {"kind": ctx.query("kind") or "git"})


def make_credential(ctx: PageContext) -> Response:
    given = {name: ctx.field(name).strip() for name in SHOWN}
    secret = {"secret": ctx.field("secret")} if ctx.field("secret") else {}  # else the API says it is missing
    is_made_here = bool(ctx.field("ssh_key"))
    try:
        form = read_value(CredentialForm, {**given, **secret, "ssh_key": is_made_here}, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            made = define_credential(tx, ctx.server.vault, project, form.draft(), ctx.now)
    except (UserError, Problem, ValidationError) as error:
        given["ssh_key"] = ctx.field("ssh_key")
        return _page(ctx, None, given, problem=refused(error))
    if made.public_key:
        return see(f"{address(project, made)}#ssh-key")
    return see(f"{projects.address(project)}#credentials")


def show_credential(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        credential = credential_of(ctx, tx)
    if credential.kind == github_apps.KIND:
        return see(ctx.request.url.path.replace("/credentials/", "/github-apps/"))
    return _page(ctx, credential, _texts(credential))


def _texts(credential: Credential) -> dict[str, str]:
    return {name: str(getattr(credential, name)) for name in SHOWN}


def save_credential(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        credential = credential_of(ctx, tx)
    given = {"username": ctx.field("username").strip()}
    if credential.kind == "git":
        given |= {name: ctx.field(name).strip() for name in ("api_url", "forge")}
    if not credential.host:
        given["host"] = ctx.field("host").strip()
    try:
        patch = read_value(CredentialPatch, {**given, "secret": ctx.field("secret") or None}, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            known = credential_of(ctx, tx)
            require_unchanged(ctx, _texts(known), f"credential {known.name}")
            change_credential(tx, ctx.server.vault, known, patch.change(), ctx.now)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, credential, {**_texts(credential), **given}, problem=refused(error))
    return see(f"{address(project, credential)}?saved=1")


def look_at_host_keys(ctx: PageContext) -> Response:
    """Show what the ssh server shows now; nothing is stored before somebody accepts it."""
    with ctx.server.db.read() as tx:
        credential = credential_of(ctx, tx)
    try:
        shown = shown_host_keys(credential, ctx.server.host_keys_of)
    except (UserError, TransientError) as error:
        return _page(ctx, credential, _texts(credential), unseen=str(error))
    return _page(ctx, credential, _texts(credential), shown=shown)


def accept_host_keys(ctx: PageContext) -> Response:
    """Pin the keys that the form has; without any, those of the next connection."""
    with ctx.server.db.read() as tx:
        credential = credential_of(ctx, tx)
    try:
        patch = read_value(CredentialPatch, {"host_keys": ctx.field("host_keys").splitlines()}, ctx.server)
        with ctx.server.db.write() as tx:
            project = project_of(ctx, tx)
            change_credential(tx, ctx.server.vault, credential_of(ctx, tx), patch.change(), ctx.now)
    except (UserError, Problem, ValidationError) as error:
        return _page(ctx, credential, _texts(credential), problem=refused(error))
    return see(f"{address(project, credential)}?saved=1#host-keys")


def delete_credential(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        project, credential = project_of(ctx, tx), credential_of(ctx, tx)
    try:
        require_named(ctx, credential.name, "credential")
        with ctx.server.db.write() as tx:
            remove_credential(tx, credential_of(ctx, tx))
    except UserError as error:
        return _page(ctx, credential, _texts(credential), undeleted=refused(error))
    return see(projects.address(project))


def _page(
    ctx: PageContext,
    credential: Credential | None,
    given: Mapping[str, str],
    *,
    problem: Problem | None = None,
    undeleted: Problem | None = None,
    shown: Sequence[HostKey] = (),
    unseen: str = "",
) -> Response:
    with ctx.server.db.read() as tx:
        project = project_of(ctx, tx)
        seen_as = version_of(_texts(credential_of(ctx, tx))) if credential else ""
    errors, left = placed(problem, FIELDS)
    said = problem or undeleted
    path = f"{projects.address(project)}/credentials"
    return ctx.page(
        "credential.html",
        200 if said is None else said.status,
        project=project,
        credential=credential,
        seen_as=seen_as,
        action=address(project, credential) if credential else path,
        given=given,
        errors=errors,
        left=left,
        saved=bool(ctx.query("saved")),
        retype=["secret"] if ctx.field("secret") else [],
        undeleted="" if undeleted is None else undeleted.detail,
        pinned=pinned_host_keys(credential) if credential else (),
        origin=host_keys_from(credential) if credential else "nobody",
        published=PUBLISHED.get(credential.host.lower()) if credential else None,
        compared_on=COPIES_OF,
        shown=shown,
        unseen=unseen,
    )


def routes() -> list[Route]:
    path = "/projects/{project}/credentials"
    return [
        get(path, show_new, Right.SECRETS),
        post(path, make_credential, Right.SECRETS),
        get(f"{path}/{{credential}}", show_credential, Right.SECRETS),
        post(f"{path}/{{credential}}", save_credential, Right.SECRETS),
        post(f"{path}/{{credential}}/host-keys/look", look_at_host_keys, Right.SECRETS),
        post(f"{path}/{{credential}}/host-keys", accept_host_keys, Right.SECRETS),
        post(f"{path}/{{credential}}/delete", delete_credential, Right.SECRETS),
    ]
