"""Variables on their way into the store: secrets are sealed, and those without a value stay as they are."""

from __future__ import annotations

from collections.abc import Mapping

from app.commands.image_policy import require_usable_arguments
from app.domain.errors import InvalidValue, JobyardError
from app.domain.external_secrets import ExternalSecret
from app.domain.job.drafts import EnvDrafts
from app.domain.job.variables import Env, EnvDraft, EnvScope, EnvValue
from app.domain.redaction import MIN_LENGTH, is_masked
from app.domain.references import Ours
from app.domain.sealing import Owner, Place, place_of_copy
from app.runtime.ports import Vault
from app.store import projects
from app.store.database import Tx, secret_rules_of


def seal_all(tx: Tx, drafts: EnvDrafts, vault: Vault, owner: Owner, stored: Env) -> dict[str, EnvValue]:
    """The variables of a job or a secret group as they are stored. Raises InvalidValue."""
    return {
        name: seal(tx, f"env.{name}", draft, vault, owner.variable(name), stored.get(name))
        for name, draft in drafts.items()
    }


def seal(
    tx: Tx, field: str, draft: EnvDraft, vault: Vault, place: Place, stored: EnvValue | None
) -> EnvValue:
    """A variable as it is stored. A secret without a value keeps the stored one. Raises InvalidValue below `field`."""
    secret, scope = bool(draft.secret), draft.scope or EnvScope.RUN
    if draft.reference is not None:
        if stored is None or stored.reference != draft.reference:
            _require_allowed(tx, field, draft.reference, place.project_id)
        return EnvValue("", True, scope, draft.reference)
    if draft.value is not None:
        return EnvValue(vault.seal(draft.value, place) if secret else draft.value, secret, scope)
    if secret and stored is not None and stored.secret and stored.reference is None:
        return EnvValue(stored.value, secret, scope)
    raise InvalidValue(f"{field}.value", f"{field}.value is missing: give the variable's text.")


def _require_allowed(tx: Tx, field: str, reference: ExternalSecret, project_id: int) -> None:
    """Raises InvalidValue for what the project may not have."""
    why = secret_rules_of(tx).why_not(reference, projects.with_id(tx, project_id).name)
    if why:
        raise InvalidValue(f"{field}.from", f"{field}.from can't be {reference.origin}: {why}")


def require_usable_variables(tx: Tx, ours: Ours, project_id: int, drafts: EnvDrafts) -> None:
    """Raises InvalidValue for a variable that no build may have."""
    in_build: Mapping[str, str | None] = {
        name: None if draft.secret else draft.value
        for name, draft in drafts.items()
        if draft.scope not in (None, EnvScope.RUN)
    }
    require_usable_arguments(tx, ours, project_id, in_build, "env")


def unmasked(env: Env, vault: Vault, project_id: int) -> list[str]:
    """Warnings about the secrets of a project's stored variables that are too short to be masked in logs."""
    sealed = {name: value for name, value in env.items() if value.secret and value.reference is None}
    secrets = {name: _opened(name, value, vault, project_id) for name, value in sealed.items()}
    return [
        f"{name} is a secret of {_length(secret)}: too short to be masked in logs."
        for name, secret in secrets.items()
        if secret is not None and not is_masked(secret)
    ]


def _length(secret: str) -> str:
    short = f"fewer than {MIN_LENGTH} characters"
    return short if len(secret) < MIN_LENGTH else f"lines of {short}"


def open_variable(name: str, value: EnvValue, vault: Vault, project_id: int, job_id: int | None) -> str:
    """The text of a variable that a run of the job has, or (None) a build of the project, and that has no reference.

    Raises a JobyardError for a secret that was sealed for another job or project, or can't be opened at all.
    """
    if not value.secret:
        return value.value
    return vault.open(value.value, place_of_copy(value.value, name, project_id, job_id))


def _opened(name: str, value: EnvValue, vault: Vault, project_id: int) -> str | None:
    try:
        return open_variable(name, value, vault, project_id, None)
    except JobyardError:
        return None  # damaged, or of another key: whoever uses it is told
