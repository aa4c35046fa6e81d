"""Who an identity provider says somebody is, and which roles its claim gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.documents import Stored
from app.domain.errors import TransientError, UserError
from app.domain.principals import Role

ROLES_READ = 1000  # entries of a claim: people are in hundreds of groups


class ProviderUnavailable(TransientError):
    """The identity provider did not answer, or with something that can't be used."""


class NotProven(UserError):
    """What came back from the identity provider proves nothing; `str(error)` says why, without any secret."""


@dataclass(frozen=True)
class ClaimedRole:
    """A role in the project of that name, or (`project` None) in all."""

    role: Role
    project: str | None = None


@dataclass(frozen=True)
class Identity:
    """Somebody who has proved to the provider who they are. Issuer and subject name them for good, nothing else does.

    `email` is only there if the provider has verified it. `claim` is the one that `roles` were read from.
    """

    issuer: str
    subject: str
    name: str
    email: str | None
    claim: str
    roles: tuple[ClaimedRole, ...]


@dataclass(frozen=True)
class Begun:
    """A sign-in that was begun: where the browser goes, and what the same browser has to bring back."""

    address: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect: str


def roles_claimed(claims: Stored, path: str) -> tuple[ClaimedRole, ...]:
    """The roles in the claim at a dotted path: `viewer`, `operator`, `admin` in all projects, `PROJECT:role` in one.

    The claim is a text or a list of texts; what else is in it is for others. Of several for the same project, or for
    all, the highest counts.
    """
    highest: dict[str | None, Role] = {}
    order = list(Role)
    for entry in _entries(claim_at(claims, path)):
        project, _, role = entry.rpartition(":")
        if role not in order:
            continue
        known = highest.get(project or None)
        if known is None or order.index(Role(role)) > order.index(known):
            highest[project or None] = Role(role)
    return tuple(ClaimedRole(role, project) for project, role in highest.items())


def claim_at(claims: Stored, path: str) -> Any:
    """What is at a path such as `realm_access.roles`, or None. A claim that has the whole path as its name is first."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _entries(claim: Any) -> Sequence[str]:
    if isinstance(claim, str):
        return [claim]
    if not isinstance(claim, list):
        return []
    return [each for each in claim[:ROLES_READ] if isinstance(each, str)]
