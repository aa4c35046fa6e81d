"""Secrets that are kept elsewhere, in memory: what they are now, who asked, and how often it gives no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.external_secrets import ExternalSecret, SecretRules, SecretUnavailable
from app.store.database import SECRET_RULES, Database

TOKEN = {"from": "file", "path": "token"}


@dataclass
class KeptSecrets:
    """Implements `SecretSource`. Its next `faults` are raised, and then as many questions as `silent` get no answer."""

    value: str
    faults: list[Exception] = field(default_factory=list)
    silent: int = 0
    asked: list[tuple[str, Mapping[str, ExternalSecret]]] = field(default_factory=list)

    def read(self, wanted: Mapping[str, ExternalSecret], project: str) -> dict[str, str]:
        self.asked.append((project, dict(wanted)))
        if self.faults:
            raise self.faults.pop(0)
        if self.silent:
            self.silent -= 1
            raise SecretUnavailable("TOKEN can't be read from file token: Vault is sealed.")
        return dict.fromkeys(wanted, self.value)


def job_with_token(**changes: Any) -> dict[str, Any]:
    """Fields of a job whose image is made elsewhere and that has such a secret."""
    return {
        "name": "tool",
        "source": {"type": "image", "image": "tool:1"},
        "env": {"TOKEN": TOKEN, "PLAIN": "in the clear"},
        **changes,
    }


def allow(db: Database, rules: SecretRules) -> None:
    """What the operator of a server on the database lets projects name from now on."""
    db._info[SECRET_RULES] = rules
