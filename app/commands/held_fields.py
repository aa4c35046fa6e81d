"""Fields of a job that the file of its repository sets: they are changed there, and nowhere else."""

from __future__ import annotations

from app.domain.errors import require_consistent
from app.domain.job.codec import shown_job
from app.domain.job.records import Job
from app.domain.job.spec import JobSpec

ENV = "env."


def require_free(job: Job, after: JobSpec) -> None:
    """Raises Contradictions for each field that would be another than the file says."""
    held = job.from_file
    if held is None or held.removed:
        return
    now, then = shown_job(job.spec), shown_job(after)
    changed = [field for field in held.fields if _of(now, field) != _of(then, field)]
    require_consistent((field, f"is set by {held.called}: change it there") for field in changed)


def _of(shown: dict[str, object], field: str) -> object:
    env = shown["env"]
    if field.startswith(ENV) and isinstance(env, dict):
        return env.get(field.removeprefix(ENV))
    return shown.get(field)
