"""What a repository would be built as, said at a form that names one, before anything is saved."""

from __future__ import annotations

from pydantic import ValidationError

from app.commands.detection import Detected
from app.domain.documents import Json
from app.domain.errors import JobyardError
from app.web.pages.context import PageContext
from app.web.problems import Problem, problem_of
from app.web.reach import project_named
from app.web.reading import read_value
from app.web.schemas.plan import DetectForm

ASKED = ("url", "branch", "credential")


def look(ctx: PageContext, project: str, typed: Json, at: str) -> Detected:
    """The repository and build settings that were typed, as the form has them below `at`.

    Raises a Problem at the form's fields where Git or the repository doesn't give an answer.
    """
    git = {name: typed["git"][name] for name in ASKED}
    try:
        form = read_value(DetectForm, {"git": git, "build": typed["build"]}, ctx.server)
        with ctx.server.db.read() as tx:
            owner = project_named(ctx, tx, project)
        return ctx.server.dry_run.detection.look_at(owner, form.source(), at)
    except (JobyardError, ValidationError, Problem) as error:
        problem = problem_of(error)
        errors = [{**each, "field": _placed(each["field"], at)} for each in problem.errors]
        raise Problem(problem.status, problem.detail, errors) from error


def _placed(field: str, at: str) -> str:
    bare = field.removeprefix("detect.").removeprefix(at)
    return at + ("git.url" if bare == "git" else bare)
