"""Secret groups as people define and change them: variables that several jobs share, whose secrets are sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.commands.variables import require_usable_variables, seal_all
from app.domain.errors import InvalidValue, NotFound
from app.domain.job.drafts import EnvDrafts
from app.domain.references import Ours
from app.domain.sealing import Owner
from app.runtime.ports import Vault
from app.store import jobs, secret_groups
from app.store.database import Tx
from app.store.identity import reserved_id
from app.store.projects import Project
from app.store.secret_groups import SecretGroup


@dataclass(frozen=True)
class SecretGroupDraft:
    """A group that is to be stored; `jobs` are names."""

    name: str
    priority: int
    env: EnvDrafts = field(repr=False)
    jobs: tuple[str, ...]


def define_group(
    tx: Tx, project: Project, draft: SecretGroupDraft, *, vault: Vault, ours: Ours, now: datetime
) -> SecretGroup:
    """A new group. Raises InvalidValue or Conflict, and then nothing is made."""
    _require_usable(tx, project, draft, ours)
    group_id = reserved_id(tx, "secret_group")
    env = seal_all(tx, draft.env, vault, Owner.group(project.id, group_id), {})
    made = secret_groups.create(tx, project.id, draft.name, draft.priority, env, now, group_id)
    secret_groups.attach(tx, made, draft.jobs)
    return secret_groups.named(tx, project.id, draft.name)


def change_group(
    tx: Tx, project: Project, group: SecretGroup, draft: SecretGroupDraft, *, vault: Vault, ours: Ours
) -> SecretGroup:
    """The group as the draft has it. Raises InvalidValue, and then it stays as it was."""
    _require_usable(tx, project, draft, ours)
    env = seal_all(tx, draft.env, vault, Owner.group(project.id, group.id), group.env)
    secret_groups.change(tx, group, priority=draft.priority, env=env)
    secret_groups.attach(tx, group, draft.jobs)
    return secret_groups.named(tx, project.id, group.name)


def _require_usable(tx: Tx, project: Project, draft: SecretGroupDraft, ours: Ours) -> None:
    for number, name in enumerate(draft.jobs):
        try:
            jobs.named(tx, project.name, name)
        except NotFound:
            message = f"jobs.{number} must name a job of project {project.name}, not {name!r}."
            raise InvalidValue(f"jobs.{number}", message) from None
    require_usable_variables(tx, ours, project.id, draft.env)
