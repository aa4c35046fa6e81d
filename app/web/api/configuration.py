"""Configuration as code: what a file declares is applied whole, and everything is exported as such a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from app.domain.principals import Right
from app.store import projects
from app.store.database import Tx
from app.store.projects import Project
from app.web.api.operations import ApiContext, Operation
from app.web.declared.applying import Change, apply
from app.web.declared.documents import read_documents
from app.web.declared.kinds import PAGE, Scene, all_of
from app.web.reach import project_named
from app.web.schemas.base import Empty
from app.web.schemas.configuration import ApplyAnswer, ApplyForm, ChangeAnswer, ExportQuery

YAML = "application/yaml"


def apply_file(ctx: ApiContext[ApplyForm, Empty]) -> Any:
    form = ctx.body
    declared = read_documents(form.documents, form.project)
    server = ctx.server
    scene = Scene(
        server,
        server.names,
        server.vault,
        server.ours,
        ctx.who,
        ctx.now,
        ctx.require,
        lambda tx, name: project_named(ctx, tx, name),
    )
    changes = apply(
        server.db, scene, declared, prune=form.prune, dry_run=form.dry_run, confirmed=form.confirm
    )
    return ApplyAnswer(sentence=summary(changes, done=not form.dry_run), items=list(map(_answer, changes)))


def summary(changes: Sequence[Change], *, done: bool) -> str:
    """How many things become what, in a sentence."""
    counts = Counter(change.what for change in changes)
    parts = [f"{counts[what]} {what}" for what in ("created", "changed", "deleted") if counts[what]]
    said = ", ".join([*parts, f"{counts['unchanged']} unchanged"])
    return f"{said}." if done else f"It would be {said}; nothing was done."


def _answer(change: Change) -> ChangeAnswer:
    return ChangeAnswer.model_validate(
        {
            "label": change.label,
            "kind": change.kind,
            "project": change.project,
            "name": change.name,
            "what": change.what,
            "fields": [vars(each) for each in change.fields],
            "warnings": list(change.warnings),
        }
    )


def export(ctx: ApiContext[Empty, ExportQuery]) -> Response:
    from app.web.declared.exporting import as_yaml, exported  # with the YAML library, which few requests need

    with ctx.server.db.read() as tx:
        wanted = ctx.query.project
        found = _all(ctx, tx) if wanted is None else [project_named(ctx, tx, wanted)]
        text = "---\n".join(as_yaml(exported(tx, each)) for each in found)
    return Response(text, media_type=YAML)


def _all(ctx: ApiContext[Empty, ExportQuery], tx: Tx) -> list[Project]:
    return all_of(lambda before: projects.page(tx, PAGE, before, only=ctx.projects))


OPERATIONS = (
    Operation(
        "POST",
        "/apply",
        "Make, change and delete what a file declares: all of it, or nothing",
        apply_file,
        Right.CHANGE,
        body=ApplyForm,
        answer=ApplyAnswer,
    ),
    Operation(
        "GET",
        "/export",
        "Everything that is configured, as YAML that apply takes, without secrets",
        export,
        query=ExportQuery,
        answer=str,
        media_types=(YAML,),
    ),
)
