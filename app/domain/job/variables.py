"""Variables of jobs, secret groups and runs: as they are given, and as they are kept with secrets sealed."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.external_secrets import ExternalSecret

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvScope(enum.StrEnum):
    RUN = "run"
    BUILD = "build"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class EnvValue:
    """One variable. A secret's `value` is sealed wherever it is stored, and opened only on the way to a container.

    One with a `reference` is a secret, and has no value here: that is read from elsewhere as a run or build starts.
    """

    value: str = field(repr=False)
    secret: bool = False
    scope: EnvScope = EnvScope.RUN
    reference: ExternalSecret | None = None

    @property
    def shown(self) -> str:
        """What anybody may see of it."""
        if self.reference is not None:
            return f"from {self.reference}"
        return "***" if self.secret else self.value

    @property
    def in_build(self) -> bool:
        return self.scope is not EnvScope.RUN

    @property
    def in_run(self) -> bool:
        return self.scope is not EnvScope.BUILD


@dataclass(frozen=True, slots=True)
class SharedValue:
    """A variable that a job has from one of its secret groups, which `group` names."""

    given: EnvValue
    group: str


@dataclass(frozen=True, slots=True)
class EnvDraft:
    """A variable as somebody gives it, its value in plain text, or with a `reference` to it instead.

    None leaves a part as it is stored.
    """

    value: str | None = field(repr=False)
    secret: bool | None = None
    scope: EnvScope | None = None
    reference: ExternalSecret | None = None

    def inherit(self, stored: EnvValue | None) -> EnvDraft:
        """The draft with the secrecy and scope of the stored variable where it says nothing of its own."""
        secret, scope = (False, EnvScope.RUN) if stored is None else (stored.secret, stored.scope)
        return EnvDraft(
            self.value,
            secret if self.secret is None else self.secret,
            scope if self.scope is None else self.scope,
            self.reference,
        )


Env = Mapping[str, EnvValue]


def references_in(env: Env) -> dict[str, ExternalSecret]:
    """What the variables name that have their values elsewhere."""
    return {name: given.reference for name, given in env.items() if given.reference is not None}
