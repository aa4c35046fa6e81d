"""Reading the secrets that are kept elsewhere: by the operator's rules, and in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

from app.domain.documents import Json
from app.domain.external_secrets import (
    EnvironmentSecret,
    ExternalSecret,
    FileSecret,
    SecretRefused,
    SecretRules,
    SecretUnavailable,
    VaultSecret,
    usable,
)
from app.runtime.threads import with_deadline
from app.secret_sources.files import SecretFiles

if TYPE_CHECKING:  # with what it imports it takes memory that servers without one need not spend
    from app.secret_sources.vault import VaultServer

SECONDS = 15.0  # for all secrets of one run or build together


@dataclass(frozen=True)
class ExternalSecrets:
    """What a server may read; by default, nothing. `variables` are those of its environment that the rules name."""

    rules: SecretRules = field(default_factory=SecretRules)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: SecretFiles | None = None
    vault: VaultServer | None = None
    seconds: float = SECONDS

    def read(self, wanted: Mapping[str, ExternalSecret], project: str) -> dict[str, str]:
        """As `SecretSource` says. What is at one path of Vault is asked for once."""
        found: dict[str, str] = {}
        if wanted:
            try:
                with_deadline(self.seconds, "secrets", partial(self._read_into, found, wanted, project))
            except TimeoutError:
                name = next(name for name in wanted if name not in found)
                late = f"there was no answer in {self.seconds:g} s."
                raise SecretUnavailable(_sentence(name, wanted[name], late)) from None
        return dict(found)

    def _read_into(self, found: dict[str, str], wanted: Mapping[str, ExternalSecret], project: str) -> None:
        entries_at = cache(self._entries_at)
        for name, reference in wanted.items():
            try:
                found[name] = usable(self._text_of(reference, project, entries_at))
            except (SecretRefused, SecretUnavailable) as error:
                raise type(error)(_sentence(name, reference, str(error))) from None

    def _text_of(self, reference: ExternalSecret, project: str, entries_at: Callable[[str], Json]) -> str:
        why_not = self.rules.why_not(reference, project)
        if why_not:
            raise SecretRefused(why_not)
        match reference:
            case FileSecret(path=path):
                assert self.files is not None
                return self.files.read(path, project)
            case EnvironmentSecret(name=name):
                if name not in self.variables:
                    raise SecretRefused(
                        "the server was started without it; set it and start the server again."
                    )
                return self.variables[name]
            case VaultSecret(path=path, key=key):
                value = entries_at(path).get(key)
                if not isinstance(value, str):
                    raise SecretRefused("there is no text by that key; write one, or name another key.")
                return value

    def _entries_at(self, path: str) -> Json:
        assert self.vault is not None
        return self.vault.read(path)


def _sentence(name: str, reference: ExternalSecret, why: str) -> str:
    return f"{name} can't be read from {reference}: {why}"
