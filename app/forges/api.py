"""What we ask of a forge's API: statuses of commits, and webhooks. Requests are values, sent elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.domain.commit_statuses import CommitStatus
from app.domain.http import HttpAnswer, HttpRequest

READ_BYTES = 512 * 1024
"""Of an answer's body: a hundred webhooks have about 100 KiB."""


@dataclass(frozen=True)
class Access:
    """The API of one forge, by its address without a slash at the end, and what opens it."""

    url: str
    secret: str = field(repr=False)
    username: str = ""


@dataclass(frozen=True)
class Taken:
    """The forge did what was asked. `posted_as` is what it calls that, where the next post of it has to say so."""

    posted_as: str = ""


@dataclass(frozen=True)
class Later:
    """It did not, and may later: not before `at`, if it said when. `is_for_all`: nor anything else that it is asked."""

    sentence: str
    at: datetime | None = None
    is_for_all: bool = False


@dataclass(frozen=True)
class Refused:
    """It won't, however often it is asked; the sentence says what would be right.

    `is_for_all` says that the credential may not do such a thing; otherwise it is about this commit alone.
    """

    sentence: str
    is_for_all: bool = False


@dataclass(frozen=True)
class Moved:
    """The repository has another address by now: `url` is where to send the same request."""

    url: str


Outcome = Taken | Later | Refused | Moved


@dataclass(frozen=True)
class Hook:
    """A webhook as the forge has it. `said` is what the forge tells of its last delivery, empty if nothing."""

    id: str
    address: str
    is_active: bool
    takes_pushes: bool
    said: str = ""


class ForgeApi(Protocol):
    """The API of a kind of forge. It has no state: everything comes in as an argument."""

    @property
    def name(self) -> str:
        """The forge in sentences, such as `GitHub`."""
        ...

    def default_url(self, host: str) -> str:
        """Return where the API of such a forge is on a host, such as `https://api.github.com` for `github.com`."""
        ...

    def status(self, access: Access, repository: str, sha: str, status: CommitStatus) -> HttpRequest:
        """Return the request that sets a commit's status; `repository` is the path of its address, `acme/report`."""
        ...

    def status_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        """Return what an answer to `status` means. Any answer means something, also one of a stranger."""
        ...


class HookApi(Protocol):
    """The webhooks of a repository, at a kind of forge that lets them be made."""

    def hooks(self, access: Access, repository: str) -> HttpRequest:
        """Return the request that lists the webhooks."""
        ...

    def hooks_in(self, answer: HttpAnswer) -> Sequence[Hook]:
        """Return the webhooks of an answer to `hooks` that was `Taken`; what can't be read is left out."""
        ...

    def save_hook(
        self, access: Access, repository: str, hook_id: str | None, address: str, secret: str
    ) -> HttpRequest:
        """Return the request that makes a webhook for pushes (None), or makes one of that id to be so."""
        ...

    def hook_outcome(self, answer: HttpAnswer, now: datetime) -> Outcome:
        """Return what an answer to any of these means."""
        ...


class RepositoryApi(ForgeApi, HookApi, Protocol):
    """All that is asked of a forge about a repository."""


def body_of(answer: HttpAnswer) -> object:
    """Return the JSON of an answer; None for what is none, or is longer than what was read."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
