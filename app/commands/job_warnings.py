"""What will not work of a job as it is."""

from __future__ import annotations

from app.commands.variables import unmasked
from app.domain.job.records import Job
from app.domain.job.spec import GitSource
from app.runtime.ports import Vault


def warnings_of(job: Job, vault: Vault, *, project_has_secret: bool) -> list[str]:
    """A sentence for each thing that will not work."""
    warnings = []
    has_secret = job.source is not None and job.source.webhook_secret is not None
    if isinstance(job.spec.source, GitSource) and not has_secret and not project_has_secret:
        warnings.append(
            "Pushes can't be verified: set source.git.webhook_secret, or the project's webhook_secret, "
            "and give the same to the repository's webhook."
        )
    return warnings + unmasked(job.env, vault, job.project_id)
