"""From what people type to what the API calls it, and completion of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from app.domain.errors import NotFound, UserError

if TYPE_CHECKING:
    from app.cli.client import Api

COMPLETION_SECONDS = 1.5


@dataclass(frozen=True)
class JobName:
    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"

    def path(self, *more: str) -> str:
        from app.cli.client import path

        return path("projects", self.project, "jobs", self.name, *more)


@dataclass(frozen=True)
class AppName:
    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"

    def path(self, *more: str) -> str:
        from app.cli.client import path

        return path("projects", self.project, "apps", self.name, *more)


def find_app(api: Api, text: str, project: str | None = None) -> AppName:
    """Find an app as `find_job` finds a job."""
    if "/" in text:
        project, _, text = text.partition("/")
    found = [app for app in all_apps(api, project or api.settings.project) if app["name"] == text]
    if not found:
        raise NotFound(f"There is no app {text}: `jobyard apps` lists what there is.")
    if len(found) > 1:
        candidates = ", ".join(sorted(f"{app['project']}/{app['name']}" for app in found))
        raise UserError(f"There are several apps named {text}: say which of {candidates}.")
    return AppName(found[0]["project"], text)


def all_apps(api: Api, project: str | None) -> list[Any]:
    """Return the apps of one project or of all."""
    from app.cli.client import path

    names = [project] if project else [each["name"] for each in api.each("/projects")]
    return [app for name in names for app in api.each(path("projects", name, "apps"))]


@contextmanager
def open_job(job: str, project: str | None) -> Iterator[tuple[Api, JobName]]:
    """Yield the API and the job that is meant."""
    from app.cli.client import open_api

    with open_api() as api:
        yield api, find_job(api, job, project)


def find_job(api: Api, text: str, project: str | None = None) -> JobName:
    """Return the job meant by PROJECT/NAME, or by NAME in `project`, in JOBYARD_PROJECT, or in whichever project
    has it.

    Raises UserError listing the candidates if several have it, NotFound if none has.
    """
    if "/" in text:
        project, _, text = text.partition("/")
        return JobName(project, text)
    project = project or api.settings.project
    if project is not None:
        return JobName(project, text)
    known = all_jobs(api)
    found = [job for job in known if job.name == text]
    if len(found) > 1:
        candidates = ", ".join(sorted(map(str, found)))
        raise UserError(f"There are several jobs named {text}: say which of {candidates}.")
    if not found:
        raise NotFound(f"There is no job {text}{_hint(text, known)}")
    return found[0]


def _hint(text: str, known: list[JobName]) -> str:
    close = get_close_matches(text, [job.name for job in known], n=1)
    return f"; did you mean {close[0]}?" if close else ": `jobyard jobs` lists what there is."


def all_jobs(api: Api) -> list[JobName]:
    return [JobName(job["project"], job["name"]) for job in jobs_of(api, None)]


def jobs_of(api: Api, project: str | None) -> list[Any]:
    """Return the jobs of one project or of all."""
    from app.cli.client import path

    names = [project] if project else [each["name"] for each in api.each("/projects")]
    return [job for name in names for job in api.each(path("projects", name, "jobs"))]


def find_project(api: Api, project: str | None) -> str:
    """Return the project that is meant; the only one needs no naming. Raises UserError."""
    named = project or api.settings.project
    if named:
        return named
    known = [each["name"] for each in api.items("/projects", 100)["items"]]
    if len(known) == 1:
        return str(known[0])
    if not known:
        raise UserError("There is no project yet: make one with `jobyard project create NAME`.")
    raise UserError(f"Say which project with --project or JOBYARD_PROJECT: {', '.join(sorted(known))}.")


def complete_jobs(incomplete: str) -> list[str]:
    """Return names of jobs; those that several projects have with their project."""

    def candidates(api: Api) -> list[str]:
        jobs = [JobName(job["project"], job["name"]) for job in jobs_of(api, api.settings.project)]
        names = [job.name for job in jobs]
        return [str(job) if "/" in incomplete or names.count(job.name) > 1 else job.name for job in jobs]

    return _complete(incomplete, candidates)


def complete_runs(incomplete: str) -> list[str]:
    """Return the name of each job's latest run."""
    return _complete(
        incomplete,
        lambda api: [
            job["last_run"]["name"]
            for job in jobs_of(api, api.settings.project)
            if job["last_run"] is not None
        ],
    )


def complete_projects(incomplete: str) -> list[str]:
    return _complete(incomplete, lambda api: [each["name"] for each in api.each("/projects")])


def _complete(incomplete: str, candidates: Callable[[Api], list[str]]) -> list[str]:
    try:
        from app.cli.client import open_api

        with open_api(COMPLETION_SECONDS) as api:
            return [name for name in candidates(api) if name.startswith(incomplete)]
    except Exception:  # whatever is wrong, a half-typed command line is not the place to say so
        return []
