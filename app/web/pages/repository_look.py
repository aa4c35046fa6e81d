"""What a repository shows of itself while a job is filled in: its branches, and what it would be built as."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from app.commands.detection import Examined
from app.domain.documents import Json
from app.domain.errors import JobyardError
from app.domain.job.spec import BuildConfig, GitSource
from app.web.pages.context import PageContext
from app.web.pages.job_draft import COMMANDS, DECIDING, Look, Typed
from app.web.problems import Problem, problem_of
from app.web.reach import project_named
from app.web.reading import read_value
from app.web.schemas.plan import DetectForm

AT = "source."
ASKED = ("url", "branch", "credential", "submodules", "lfs")


def looked(ctx: PageContext, typed: Typed, *, branches_only: bool = False) -> Typed:
    """With what Git shows now, and its default branch where none was named; nothing new where nothing else is asked.

    Raises a Problem at the form's fields where Git does not answer, or says no.
    """
    try:
        with_branches = _with_branches(ctx, typed)
        return with_branches if branches_only else _with_plan(ctx, with_branches)
    except (JobyardError, ValidationError, Problem) as error:
        problem = problem_of(error)
        errors = [{**each, "field": _placed(each["field"])} for each in problem.errors]
        errors = errors or [{"field": f"{AT}git.url", "message": problem.detail}]
        raise Problem(problem.status, problem.detail, errors) from error


def _with_branches(ctx: PageContext, typed: Typed) -> Typed:
    key = {name: typed.given[f"{AT}git.{name}"].strip() for name in ("url", "credential")} | {
        "project": typed.project
    }
    look = typed.look
    if look is None or not look.branches or {name: look.key.get(name) for name in key} != key:
        git, credential_id = _source(ctx, typed, branch="main")
        began = ctx.server.clock.ticks()
        found = ctx.server.dry_run.detection.branches(git.url, credential_id)
        look = Look(key, list(found), round(ctx.server.clock.ticks() - began, 2))
    if typed.given[f"{AT}git.branch"].strip() or not look.branches:
        return replace(typed, look=look)
    return replace(typed, look=look, given={**typed.given, f"{AT}git.branch": look.branches[0]})


def _with_plan(ctx: PageContext, typed: Typed) -> Typed:
    build = typed.definition()["source"]["build"]
    look = typed.look or Look({})
    key = {**look.key, **{name: typed.given[f"{AT}git.{name}"] for name in ASKED}}
    key |= {name: build[name] for name in (*DECIDING, *COMMANDS)}
    if look.sha is not None and key == look.key:
        return typed
    git, credential_id = _source(ctx, typed)
    bare = replace(git.build, install_command=None, build_command=None, run_command=None)
    found = _examined(ctx, git.url, git.branch, bare, credential_id)
    commands = _commands(found)
    if found.detected is None and bare != git.build:  # a command may be all that is missing
        found = _examined(ctx, git.url, git.branch, git.build, credential_id)
    plan = None if found.detected is None else dict(found.detected.plan)
    seen = replace(
        look,
        key=key,
        sha=found.sha,
        plan=plan,
        dockerfile=found.detected.dockerfile if found.detected else "",
        problem=found.problem,
        types=[*found.types],
        directories=[*found.directories],
        commands=commands,
    )
    return replace(typed, look=seen)


def _examined(
    ctx: PageContext, url: str, branch: str, build: BuildConfig, credential_id: int | None
) -> Examined:
    return ctx.server.dry_run.detection.examine(url, branch, build, credential_id)


def _commands(found: Examined) -> dict[str, str]:
    plan: Json = dict(found.detected.plan) if found.detected else {}
    return {name: plan[name] for name in COMMANDS if plan.get(name)}


def _source(ctx: PageContext, typed: Typed, branch: str = "") -> tuple[GitSource, int | None]:
    """The repository as it was typed, and the id of the credential for it."""
    source = typed.definition()["source"]
    git = {name: source["git"][name] for name in ASKED}
    git["branch"] = branch or git["branch"]
    form = read_value(DetectForm, {"git": git, "build": source["build"]}, ctx.server)
    with ctx.server.db.read() as tx:
        project = project_named(ctx, tx, typed.project)
    named = form.source()
    return named, ctx.server.dry_run.detection.credential_of(project, named, AT)


def _placed(field: str) -> str:
    bare = field.removeprefix("detect.").removeprefix(AT)
    return AT + ("git.url" if bare in ("", "git") else bare)
