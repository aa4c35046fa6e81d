"""What is asked to be different in one run: checked against its job, its secrets sealed and its image found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from app.commands.image_ownership import require_usable
from app.commands.runs import image_for_run
from app.commands.variables import seal
from app.domain.errors import InvalidValue, require_consistent
from app.domain.job import rules
from app.domain.job.drafts import OverridesDraft
from app.domain.job.effective import Overrides, merge, variables_of
from app.domain.job.records import Deployed, Job
from app.domain.job.variables import EnvDraft, EnvValue
from app.domain.references import Ours
from app.domain.sealing import Owner
from app.runtime.ports import Vault
from app.store.database import Tx


@dataclass(frozen=True)
class RunRequest:
    """A run as it can be started: `image` is what the overrides' image, build or sha mean, if any is given."""

    overrides: Overrides
    image: Deployed | None


def request_run(
    tx: Tx, job: Job, draft: OverridesDraft, *, vault: Vault, ours: Ours, now: datetime
) -> RunRequest:
    """What a run of the job would be started with. Raises Contradictions or InvalidValue."""
    overrides = draft.overrides
    require_consistent(rules.of_overrides(overrides))
    if overrides.image is not None:
        require_usable(tx, ours, job.project_id, overrides.image)
    image = image_for_run(
        tx, job, image=overrides.image, build_id=overrides.build, sha=overrides.sha, now=now
    )
    _require_no_references(draft)
    return RunRequest(seal_overrides(tx, job, draft, vault, Owner.job(job.project_id, job.id)), image)


def _require_no_references(draft: OverridesDraft) -> None:
    """Whoever may run a job may not thereby read more secrets than it has. Raises InvalidValue."""
    for name, given in draft.env.items():
        if given is not None and given.reference is not None:
            rule = "is not for a single run: give the reference to the job, or to a secret group"
            raise InvalidValue(f"env.{name}.from", f"env.{name}.from {rule}.")


def seal_overrides(
    tx: Tx,
    job: Job,
    draft: OverridesDraft,
    vault: Vault,
    owner: Owner,
    kept: Mapping[str, EnvValue | None] | None = None,
    prefix: str = "",
) -> Overrides:
    """The overrides as they are stored, with secrets sealed for `owner`; their fields are below `prefix`.

    A secret without a value has that of the `kept` variables, or else the job's. Raises Contradictions or InvalidValue.
    """
    effective = merge(job.spec.run, draft.overrides)
    require_consistent(rules.of_overrides_for(job, draft.overrides, effective.spec, prefix))
    stored = variables_of(job)
    known = {**stored, **(kept or {})}

    def sealed(name: str, given: EnvDraft | None) -> EnvValue | None:
        if given is None:
            return None
        draft = given.inherit(stored.get(name))
        return seal(tx, f"{prefix}env.{name}", draft, vault, owner.variable(name), known.get(name))

    return replace(draft.overrides, env={name: sealed(name, given) for name, given in draft.env.items()})
