"""Builds: list, ask for one, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.commands import continuous_delivery
from app.commands.builds import request_build
from app.domain.builds import Build, BuildReason
from app.domain.errors import Conflict
from app.store import builds
from app.store.database import Tx
from app.web.api.forms.build import BuildAnswer, ManualBuildForm, build_answer
from app.web.api.idempotency import once
from app.web.api.operations import Call, Empty, Operation, Page, Paging
from app.web.api.scope import build_of, job_of, paged
from app.web.principal import Role


def list_builds(call: Call[Empty, Paging]) -> Any:
    with call.yard.db.read() as tx:
        job = job_of(call, tx)
        source = job.source
        if source is None:
            return {"items": [], "next": None}
        return paged(
            call,
            lambda limit, before: builds.page(tx, limit=limit, before=before, source_id=source.id),
            lambda found: build_answers(tx, found),
        )


def create_build(call: Call[ManualBuildForm, Empty]) -> Any:
    with call.yard.db.write() as tx:
        job = job_of(call, tx, Role.OPERATOR)

        def make() -> BuildAnswer:
            build_id = request_build(
                tx,
                job,
                sha=call.body.sha,
                branch=call.body.ref,
                who=call.who,
                now=call.yard.clock.now(),
                vault=call.yard.vault,
            )
            return build_answers(tx, [builds.with_id(tx, build_id)])[0]

        return once(call, tx, make)


def show_build(call: Call[Empty, Empty]) -> Any:
    with call.yard.db.read() as tx:
        return build_answers(tx, [build_of(call, tx)])[0]


def cancel_build(call: Call[Empty, Empty]) -> Any:
    with call.yard.db.write() as tx:
        build = build_of(call, tx, Role.OPERATOR)
        sentence = f"Cancelled by {call.who}."
        now = call.yard.clock.now()
        if (
            continuous_delivery.cancel_build(
                tx, call.yard.names, build.id, BuildReason.CANCELLED, sentence, now
            )
            is None
        ):
            raise Conflict(f"Build {build.id} is over already: {build.status}.")
        return build_answers(tx, [builds.with_id(tx, build.id)])[0]


def build_answers(tx: Tx, found: Sequence[Build]) -> list[BuildAnswer]:
    made_for = builds.made_for(tx, [build.id for build in found])
    return [build_answer(build, made_for[build.id]) for build in found]


OPERATIONS = (
    Operation(
        "GET",
        "/projects/{p}/jobs/{j}/builds",
        "List a job's builds",
        list_builds,
        query=Paging,
        answer=Page[BuildAnswer],
    ),
    Operation(
        "POST",
        "/projects/{p}/jobs/{j}/builds",
        "Build by hand, whatever the rules for pushes say",
        create_build,
        Role.OPERATOR,
        body=ManualBuildForm,
        answer=BuildAnswer,
        status=202,
        idempotent=True,
    ),
    Operation("GET", "/builds/{id}", "Show a build", show_build, answer=BuildAnswer),
    Operation(
        "POST",
        "/builds/{id}/cancel",
        "Cancel a build",
        cancel_build,
        Role.OPERATOR,
        answer=BuildAnswer,
        status=202,
    ),
)
