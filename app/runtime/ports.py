"""What the loops need from outside, small enough to be simulated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from app.domain.external_secrets import ExternalSecret
from app.domain.identities import Begun, Identity
from app.domain.sealing import Place


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Aware UTC. It may be set at any moment, back as well."""

    def ticks(self) -> float:
        """Seconds since some moment, on a clock that nobody sets: for how long something takes in this process."""


class Names(Protocol):
    """The only source of chance."""

    def suffix(self) -> str:
        """Five characters that make a run's name unlike any other's."""


class Vault(Protocol):
    """Seals secrets for the store and opens them on the way to a container."""

    def seal(self, value: str, place: Place) -> str: ...

    def open(self, sealed: str, place: Place) -> str:
        """Raises a JobyardError for what was sealed for another place, or can't be opened at all."""

    def digest(self, value: str, purpose: str) -> str:
        """Tells equal values from others without telling them."""


class SecretSource(Protocol):
    """Reads the secrets that are kept elsewhere, in bounded time and by the operator's rules."""

    def read(self, wanted: Mapping[str, ExternalSecret], project: str) -> dict[str, str]:
        """The values by the variables that have them.

        Raises SecretRefused or SecretUnavailable with a sentence that names the variable, the source and what to do.
        """


class IdentityProvider(Protocol):
    """Where people sign in who have no password here."""

    @property
    def issuer(self) -> str: ...

    def begin(self, redirect: str, now: datetime) -> Begun:
        """Where to send a browser that wants to sign in. Raises ProviderUnavailable, Busy."""

    def finish(self, code: str, begun: Begun, now: datetime) -> Identity:
        """Who has signed in, by the code that the browser brought. Raises ProviderUnavailable, NotProven, Busy."""


SCOPE_PURPOSE = "scope of builds"
IMAGE_PURPOSE = "name of an image"

EMPTY: Mapping[str, str] = {}
