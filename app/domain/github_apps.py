"""GitHub Apps: what speaks for one, what it has to be allowed, and the manifest that GitHub makes one of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.documents import Json
from app.domain.errors import UserError

PERMISSIONS = {"contents": "read", "metadata": "read", "checks": "write", "statuses": "write"}
"""What it has to be allowed at GitHub, in GitHub's words."""
EVENTS = ("push", "check_run", "check_suite")
_LEVELS = ("read", "write", "admin")
NAME_LENGTH = 34  # that GitHub takes of an App's name


class AppRefused(UserError):
    """GitHub does not do what an App asks for; the sentence says what would be right."""


@dataclass(frozen=True, slots=True)
class AppKey:
    """What proves to be a GitHub App. `name` is that of the credential, `api_url` has no slash at its end."""

    credential_id: int
    name: str
    app_id: int
    api_url: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppToken:
    """What an installation lets the App in by, for about an hour."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Registered:
    """An App as GitHub has it."""

    app_id: int
    slug: str
    page: str
    permissions: Mapping[str, str]
    events: Sequence[str]

    @property
    def lacks(self) -> list[str]:
        """Permissions and events that it should have, such as `checks: write` and `event push`."""
        of_permissions = [
            f"{name}: {level}"
            for name, level in PERMISSIONS.items()
            if not _covers(self.permissions.get(name, ""), level)
        ]
        return [*of_permissions, *(f"event {name}" for name in EVENTS if name not in self.events)]


@dataclass(frozen=True, slots=True)
class Installed:
    """An installation of an App: on the repositories of one account, of all or of some."""

    id: int
    account: str
    page: str
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class Call:
    """The last call of an App's webhook, as GitHub has it; `status` is what it was answered with, 0 for nothing."""

    event: str
    status: int

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that an installation reaches; `url` is what Git clones by https."""

    full_name: str
    url: str
    is_private: bool


@dataclass(frozen=True, slots=True)
class Converted:
    """What GitHub gives once for a manifest that somebody accepted there."""

    app_id: int
    slug: str
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


def manifest(name: str, url: str, back_to: str) -> Json:
    """What GitHub is to make an App of: its webhook calls `url`, and its maker is sent `back_to` with a code."""
    return {
        "name": name[:NAME_LENGTH],
        "url": url,
        "hook_attributes": {"url": f"{url}/webhooks/github", "active": True},
        "redirect_url": back_to,
        "public": False,
        "default_permissions": dict(PERMISSIONS),
        "default_events": list(EVENTS),
    }


def _covers(given: str, wanted: str) -> bool:
    return given in _LEVELS and _LEVELS.index(given) >= _LEVELS.index(wanted)
