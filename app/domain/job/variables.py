"""Variables of jobs, secret groups and runs."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvScope(enum.StrEnum):
    RUN = "run"
    BUILD = "build"
    BOTH = "both"


@dataclass(frozen=True)
class EnvValue:
    """One variable. A secret's `value` is sealed wherever it is stored, and opened only on the way to a container."""

    value: str = field(repr=False)
    secret: bool = False
    scope: EnvScope = EnvScope.RUN

    @property
    def in_build(self) -> bool:
        return self.scope is not EnvScope.RUN

    @property
    def in_run(self) -> bool:
        return self.scope is not EnvScope.BUILD


def env_from_definition(env: Mapping[str, Any]) -> dict[str, EnvValue]:
    """Variables of the API's form: a bare string, or `{"value", "secret"?, "scope"?}`."""
    return {
        name: EnvValue(given)
        if isinstance(given, str)
        else EnvValue(given["value"], bool(given.get("secret")), EnvScope(given.get("scope") or EnvScope.RUN))
        for name, given in env.items()
    }
