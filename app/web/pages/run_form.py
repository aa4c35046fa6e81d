"""`/projects/{p}/jobs/{j}/run`: run a job with changes, for this run only, after seeing what it would run with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from app.commands.overrides import RunRequest, request_run
from app.commands.runs import image_of_next_run, start_run
from app.domain.errors import Busy, InvalidValue, UserError
from app.domain.job.effective import Effective, effective_of, variables_of
from app.domain.job.records import Job
from app.domain.job.variables import ENV_NAME
from app.domain.principals import Right
from app.domain.runs import Trigger, TriggerType
from app.store import runs
from app.store.database import Tx
from app.web.pages import formatting
from app.web.pages.context import PageContext, get, post, see
from app.web.pages.form_errors import placed, refused
from app.web.pages.jobs import address
from app.web.problems import Problem
from app.web.reach import run_called
from app.web.reading import read_value
from app.web.run_texts import FIELDS, GIVEN, changes_of, texts_of
from app.web.schemas.drafts import overrides_draft
from app.web.schemas.run import OverridesForm
from app.web.scope import job_of


@dataclass(frozen=True)
class Shown:
    """One line of the preview: a value and where it is from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class Preview:
    """What would run, and an address that opens the form filled in like this, without the value of any secret."""

    lines: Sequence[Shown]
    link: str


def show_form(ctx: PageContext) -> Response:
    """Filled in from the address (which starts nothing by itself), or as another run was changed."""
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
        model = run_called(ctx, tx, ctx.query("like")) if ctx.query("like") else None
    given = {name: ctx.query(name) for name in GIVEN}
    if model is not None and model.job_id == job.id:
        given = {**dict.fromkeys(GIVEN, ""), **texts_of(changes_of(model))}
    return _form(ctx, job, given)


def _form(
    ctx: PageContext,
    job: Job,
    given: Mapping[str, str],
    *,
    problem: Problem | None = None,
    preview: Preview | None = None,
) -> Response:
    errors, left = placed(problem, frozenset(GIVEN))
    return ctx.page(
        "run_form.html",
        200 if problem is None else problem.status,
        job=job,
        address=address(job),
        given=given,
        errors=errors,
        left=left,
        preview=preview,
        plans=ctx.server.plans,
        env=sorted(variables_of(job).items()),
    )


def start(ctx: PageContext) -> Response:
    """Preview, or start and go to the run."""
    given = {name: ctx.field(name) for name in GIVEN}
    with ctx.server.db.read() as tx:
        job = job_of(ctx, tx)
    try:
        if ctx.field("preview"):
            with ctx.server.db.read() as tx:
                asked = _asked(ctx, tx, job, given)
            return _form(ctx, job, given, preview=preview_of(job, given, asked))
        trigger = Trigger(TriggerType.MANUAL, by=ctx.who)
        with ctx.server.db.write() as tx:
            job = job_of(ctx, tx)
            asked = _asked(ctx, tx, job, given)
            names, now = ctx.server.names, ctx.now
            run_id = start_run(tx, names, job, asked.overrides, trigger, now, asked.image)
            name = runs.with_id(tx, run_id).name
    except (UserError, Busy, Problem, ValidationError) as error:
        return _form(ctx, job, given, problem=refused(error))
    return see(f"/runs/{name}")


def _asked(ctx: PageContext, tx: Tx, job: Job, given: Mapping[str, str]) -> RunRequest:
    """The fields by the API's rules; an empty one changes nothing. Raises UserError or ValidationError."""
    body: dict[str, object] = {
        name: kind.read(given[name]) for name, kind in FIELDS.items() if given[name].strip()
    }
    body |= {"env": read_env(given["env"]), "confirm_paused": bool(ctx.field("confirm_paused"))}
    if given["shell"]:
        body["shell"] = True
    draft = overrides_draft(read_value(OverridesForm, body, ctx.server))
    return request_run(tx, job, draft, vault=ctx.server.vault, ours=ctx.server.ours, now=ctx.now)


def preview_of(job: Job, given: Mapping[str, str], asked: RunRequest) -> Preview:
    if asked.image is None:
        image, origin = image_of_next_run(job).image, "deployed" if job.deployed else "job"
    else:
        image, origin = asked.image.image, "override"
    lines = [Shown("image", image or "none yet", origin)]
    lines += shown(effective_of(job, asked.overrides))
    return Preview(lines, f"{address(job)}/run?{urlencode(_without_secrets(job, given))}")


def _without_secrets(job: Job, given: Mapping[str, str]) -> dict[str, str]:
    secret = {name for name, value in variables_of(job).items() if value.secret}
    lines = [line for line in given["env"].split("\n") if _name_of(line) not in secret]
    return {name: text for name, text in {**given, "env": "\n".join(lines)}.items() if text.strip()}


def read_env(text: str) -> dict[str, str | None]:
    """`NAME=value` sets, `NAME` alone unsets; one a line."""
    env: dict[str, str | None] = {}
    for line in filter(str.strip, text.split("\n")):
        name = _name_of(line)
        if not ENV_NAME.fullmatch(name):
            raise InvalidValue("env", f"{name[:60]!r} is no variable's name: write NAME=value, one a line.")
        env[name] = line.partition("=")[2] if "=" in line else None
    return env


def _name_of(line: str) -> str:
    return line.partition("=")[0].strip().removeprefix("export ")


def shown(effective: Effective) -> list[Shown]:
    """The merged result, as far as a reader may see it."""
    lines, env = [], effective.spec.env
    for name, origin in effective.origins.items():
        kind, _, variable = name.partition("env.")
        if kind:
            lines.append(Shown(name, formatting.setting(name, getattr(effective.spec, name)), origin))
        elif variable not in env:
            lines.append(Shown(variable, "unset", origin))
        elif env[variable].in_run:
            lines.append(Shown(variable, env[variable].shown, origin))
    return lines


def routes() -> list[Route]:
    path = "/projects/{project}/jobs/{job}/run"
    return [get(path, show_form, Right.RUN), post(path, start, Right.RUN)]
