"""Build services as people define and change them."""

from __future__ import annotations

from datetime import datetime

from app.commands.sources import require_usable_build, source_settings
from app.domain.errors import require_consistent
from app.domain.job import rules
from app.domain.job.drafts import BuildServiceDraft
from app.domain.job.records import Source, SourceSettings
from app.domain.references import Ours
from app.runtime.ports import Vault
from app.store import build_services
from app.store.build_services import BuildService
from app.store.database import Tx
from app.store.projects import Project


def define_service(
    tx: Tx, project: Project, draft: BuildServiceDraft, *, vault: Vault, ours: Ours, now: datetime
) -> BuildService:
    """A new build service. Raises Contradictions, InvalidValue or Conflict, and then nothing is made."""
    settings = _settings(tx, project, draft, None, vault, ours)
    return build_services.create(tx, project.id, draft.name, settings, now)


def change_service(
    tx: Tx, project: Project, service: BuildService, draft: BuildServiceDraft, *, vault: Vault, ours: Ours
) -> BuildService:
    """The service as the draft has it. Raises Contradictions or InvalidValue, and then it stays as it was."""
    return build_services.change(tx, service, _settings(tx, project, draft, service.source, vault, ours))


def _settings(
    tx: Tx, project: Project, draft: BuildServiceDraft, kept: Source | None, vault: Vault, ours: Ours
) -> SourceSettings:
    require_consistent(rules.of_build(draft.git.build, "build"))
    require_usable_build(tx, ours, project, draft.git.build, "build")
    return source_settings(
        tx,
        project,
        draft.git,
        ci_enabled=draft.ci_enabled,
        builds_in_flight=draft.builds_in_flight,
        webhook_secret=draft.webhook_secret,
        kept=kept,
        vault=vault,
        field="git",
        config_file=draft.config_file,
    )
