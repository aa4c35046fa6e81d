"""`/runs/{run}`: why it started, how it went, its log, and what it ran with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import Response
from starlette.routing import Route

from app.commands.runs import cancel_run, run_again
from app.domain.principals import Right
from app.domain.runs import Attempt, Run, Trigger, TriggerType
from app.engines.base import Capability
from app.runtime.engine_health import EngineHealth
from app.store import builds, commit_statuses, jobs, overview, projects, quotas, run_attempts, runs
from app.web.event_streams import Stream
from app.web.pages import charts, containers, vitals
from app.web.pages.context import PageContext, StreamRoute, get, post, see
from app.web.pages.logcard import address_of_run, card_of_run, log_rows, view_of
from app.web.pages.logfollow import Followed, follow
from app.web.pages.run_failure import failure
from app.web.problems import Problem
from app.web.schemas.commit_status import commit_status_answers
from app.web.scope import run_of


@dataclass(frozen=True)
class Variable:
    """A variable of a run; a secret's value is never here."""

    name: str
    value: str
    secret: bool
    overridden: bool


def show_run(ctx: PageContext) -> Response:
    with ctx.server.db.read() as tx:
        run = run_of(ctx, tx)
        at_least = projects.hardening_of(tx, run.project_id)
        waits = quotas.run_waits(tx, run, ctx.now).sentence
        attempts = run_attempts.attempts_of(tx, run.id)
        decision = overview.decision_of_run(tx, run.id)
        typical = overview.typical_duration(
            [bar for bar in overview.strip(tx, run.job_id) if bar.id != run.id]
        )
        build = builds.with_ids(tx, [run.build_id]).get(run.build_id) if run.build_id else None
        job = jobs.with_id(tx, run.job_id)
        told = commit_status_answers(commit_statuses.about(tx, runs=[run.id]))
    attempt = _chosen(attempts, ctx.number("attempt"))
    log = None if attempt is None else card_of_run(ctx, run, attempt, len(attempts))
    return ctx.page(
        "run.html",
        run=run,
        waits="" if waits == run.sentence else waits,
        hardening=run.spec.hardening.with_at_least(at_least).asked,
        is_paused=job.paused,
        job_title=job.title,
        stopping=stopping(run, attempts, ctx.server.engine_health()),
        is_deleted=job.deleted_at is not None,
        attempts=attempts,
        attempt=attempt,
        log=log,
        decision=decision,
        commit_statuses=told,
        build=build,
        typical=typical,
        lane=charts.lane(run, attempts, ctx.now, typical),
        variables=variables(run),
        **of_attempt(ctx, run, attempt),
    )


def of_attempt(ctx: PageContext, run: Run, attempt: Attempt | None) -> dict[str, Any]:
    """What the page shows of the attempt's containers: how they are, what they use, a shell, and why they failed."""
    rows: list[containers.Row] = []
    usage: list[vitals.Chart] = []
    if attempt is not None:
        measured = ctx.server.log_storage.vitals(run.id, attempt.number)
        with ctx.server.db.read() as tx:
            found = run_attempts.containers_of(tx, attempt.id)
        rows = containers.rows(attempt, found, run.spec.health_checks, measured)
        usage = vitals.charts(run.spec.instances, ctx.server.plans.get(run.spec.plan), measured)
    may_shell = ctx.server.shells.most > 0 and ctx.may(Right.SHELL, run.project_id)
    lacks = ctx.server.engine_health().lacks
    return {
        "rows": rows,
        "usage_charts": usage,
        "may_shell": may_shell,
        "offers_shell": may_shell and not run.status.is_final and Capability.SHELL not in lacks,
        "no_shell": lacks.get(Capability.SHELL, ""),
        "no_stats": lacks.get(Capability.STATS, ""),
        "pane": "shell" if may_shell and ctx.query("tab") == "shell" else "log",
        "failure": failure(ctx, run, attempt, rows),
    }


def stopping(run: Run, attempts: Sequence[Attempt], engine: EngineHealth) -> str:
    """What a run whose end was asked for still waits for."""
    if not engine.is_up:
        return f"It ends once the container engine answers. {engine.sentence}"
    if not attempts or attempts[-1].started_at is None:
        return "Nothing of it has started as far as is known: it ends as soon as the container engine has answered."
    if run.cancel_forced_at is not None:
        return "It is killed now."
    return f"The process has at most {run.spec.grace_period_seconds} s to end by itself."


def _chosen(attempts: Sequence[Attempt], number: int | None) -> Attempt | None:
    if number is None:
        return attempts[-1] if attempts else None
    for attempt in attempts:
        if attempt.number == number:
            return attempt
    raise Problem(404, f"This run has no attempt {number}.")


def variables(run: Run) -> list[Variable]:
    given = run.spec.env
    return [
        Variable(name, each.shown, each.secret, f"env.{name}" in run.overridden)
        for name, each in sorted(given.items())
        if each.in_run
    ]


def more_log(ctx: PageContext) -> Response:
    """Lines as HTML: those around a place, before one, or from one on."""
    with ctx.server.db.read() as tx:
        run = run_of(ctx, tx)
    number = ctx.number("attempt") or 1
    address = address_of_run(ctx, run, number)
    view = view_of(ctx, ctx.server.log_storage.reader(run.id, number), address)
    return log_rows(ctx, view, address.place(several=run.spec.instances > 1))


def follow_log(ctx: PageContext) -> Stream:
    """The log of one attempt while it grows."""
    server, attempt = ctx.server, ctx.number("attempt")
    with server.db.read() as tx:
        run = run_of(ctx, tx)
    if attempt is None:
        raise Problem(400, "Following the log of a run needs attempt=N.")

    def is_over() -> bool:
        with server.db.read() as tx:
            attempts = run_attempts.attempts_of(tx, run.id)
        return all(each.number != attempt or each.finished_at is not None for each in attempts)

    address = address_of_run(ctx, run, attempt)
    followed = Followed(
        view=view_of(ctx, server.log_storage.reader(run.id, attempt), address).unfolded,
        topics=frozenset({f"log:run:{run.id}", f"run:{run.id}"}),
        is_over=is_over,
        place=address.place(several=run.spec.instances > 1),
    )
    return follow(ctx, followed, run.project_id)


def cancel(ctx: PageContext) -> Response:
    with ctx.server.db.write() as tx:
        run = run_of(ctx, tx)
        cancel_run(tx, run, ctx.who, ctx.now)
    return see(f"/runs/{run.name}")


def again(ctx: PageContext) -> Response:
    """A new run with the same image and configuration, or with what the job has now."""
    config: Literal["same", "current"] = "current" if ctx.field("config") == "current" else "same"
    trigger = Trigger(TriggerType.MANUAL, by=ctx.who)
    confirmed = bool(ctx.field("confirm_paused"))
    with ctx.server.db.write() as tx:
        run = run_of(ctx, tx)
        run_id = run_again(tx, ctx.server.names, run, config, trigger, ctx.now, confirm_paused=confirmed)
        name = runs.with_id(tx, run_id).name
    return see(f"/runs/{name}")


def routes() -> list[Route]:
    return [
        get("/runs/{run}", show_run),
        get("/runs/{run}/log", more_log),
        StreamRoute("/runs/{run}/follow", follow_log),
        post("/runs/{run}/cancel", cancel, Right.RUN),
        post("/runs/{run}/again", again, Right.RUN),
    ]
