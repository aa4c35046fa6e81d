"""The concurrency policy of scheduled jobs: what a start does while other runs of the job are alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.job.spec import ConcurrencyPolicy


@dataclass(frozen=True)
class Admission:
    """The verdict on a start: `replaces` are the live runs that end for it; `why` ends a sentence about a skip.

    `rule` is what a start is refused by.
    """

    runs: bool
    replaces: tuple[int, ...] = ()
    why: str = ""
    rule: str = "concurrency:forbid"


def admit(policy: ConcurrencyPolicy, alive: Sequence[tuple[int, str]]) -> Admission:
    """`alive` are the job's live runs as (id, name), oldest first. Manual and promoted runs are never asked about."""
    if not alive or policy is ConcurrencyPolicy.ALLOW:
        return Admission(runs=True)
    names = ", ".join(name for _, name in alive[:3]) + (" and others" if len(alive) > 3 else "")
    if policy is ConcurrencyPolicy.FORBID:
        verb = "is" if len(alive) == 1 else "are"
        return Admission(runs=False, why=f"{names} {verb} not over yet and the policy is forbid")
    return Admission(runs=True, replaces=tuple(id_ for id_, _ in alive), why=f"replaces {names}")
