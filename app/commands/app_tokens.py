"""Tokens of GitHub Apps: what an installation lets in by, made when it is needed and renewed before it ends.

What is remembered here is a hint alone: another server makes its own, and so does this one after a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from app.domain.errors import Conflict, GitUnavailable, TransientError
from app.domain.github_apps import AppKey, AppRefused, AppToken, Installed
from app.domain.http import HttpAnswer, HttpRequest
from app.forges import github_app as asking
from app.runtime.ports import Clock

RENEWED_BEFORE = timedelta(minutes=10)  # its end: a fetch may take as long
REMEMBERED = 1000
Send = Callable[[HttpRequest], HttpAnswer]
Found = TypeVar("Found")


@dataclass(frozen=True)
class AppTokens:
    """`send` reaches GitHub."""

    clock: Clock
    send: Send
    _known: dict[tuple[AppKey, str], AppToken] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def now(self) -> datetime:
        return self.clock.now()

    def __call__(self, key: AppKey, url: str, *, anew: bool = False) -> str:
        """A token that opens the repository at `url` alone. `anew` takes none that is remembered.

        Raises AppRefused with what would be right, or GitUnavailable.
        """
        if urlsplit(url).scheme not in ("https", "http"):
            raise AppRefused(
                f"GitHub App {key.name} opens https addresses alone: use the repository's https address, or a deploy"
                " key."
            )
        repository = asking.repository_in(url)
        return self._remembered(key, repository, anew, lambda: self._made(key, repository))

    def of_installation(self, key: AppKey, installed: Installed) -> str:
        """A token for all repositories of an installation."""
        return self._remembered(
            key, f"#{installed.id}", False, lambda: self._of(key, installed, repository=None)
        )

    def ask(self, request: HttpRequest, name: str) -> HttpAnswer:
        """Raises GitUnavailable where nothing answers, AppRefused where nothing may be asked."""
        try:
            return self.send(request)
        except TransientError as error:
            raise GitUnavailable(f"The API that GitHub App {name} asks {error}.") from None
        except Conflict as error:
            raise AppRefused(f"The API that GitHub App {name} asks {error}: look at its api_url.") from None

    def _remembered(self, key: AppKey, what: str, anew: bool, make: Callable[[], AppToken]) -> str:
        with self._lock:
            known = self._known.get((key, what))
        if known is not None and not anew and known.expires_at - self.now() > RENEWED_BEFORE:
            return known.token
        with self._lock:
            self._known.pop((key, what), None)
        made = make()
        with self._lock:
            while len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key, what] = made
        return made.token

    def _made(self, key: AppKey, repository: str) -> AppToken:
        request = asking.installation_of(key, self.now(), repository)
        answer = self.ask(request, key.name)
        place = answer.headers.get("location", "")
        if answer.status in (301, 302, 307, 308) and _is_same_server(place, key.api_url):
            answer = self.ask(replace(request, url=place), key.name)  # it was renamed
        installed = asking.read_installation(answer, key, repository, self.now())
        return self._of(key, installed, repository)

    def _of(self, key: AppKey, installed: Installed, repository: str | None) -> AppToken:
        request = asking.token_for(key, self.now(), installed.id, repository)
        return asking.read_token(self.ask(request, key.name), key, installed, repository or "", self.now())


def read(
    tokens: AppTokens,
    request: HttpRequest,
    reader: Callable[[HttpAnswer, AppKey, datetime], Found],
    key: AppKey,
) -> Found:
    """What an answer to the request says."""
    return reader(tokens.ask(request, key.name), key, tokens.now())


def _is_same_server(url: str, other: str) -> bool:
    here, there = urlsplit(url), urlsplit(other)
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)
