"""Which secrets webhooks may be signed with, and what they speak for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from app.domain.errors import JobyardError
from app.domain.events import PUSH
from app.domain.generic_webhooks import GenericWebhook
from app.domain.lanes import lane_of
from app.forges.base import Forge
from app.forges.generic import GenericCall
from app.runtime.signals import UNTOLD
from app.store import projects
from app.store.refused_calls import About
from app.web.server_context import ServerContext
from app.web.webhook_bodies import plain

log = logging.getLogger(__name__)
INLINE = (
    256 * 1024
)  # bytes to hash up to which it is done on the event loop: faster than handing them to a thread
EFFORT = 2 * 1024 * 1024  # bytes to hash with secrets that nothing speaks for


@dataclass(frozen=True)
class Key:
    """An opened webhook secret and all the scopes that share it."""

    secret: bytes
    scopes: tuple[str, ...]


NOBODY = Key(b"signs nothing", ())


class Keyring:
    """The webhook secrets, opened once and read again when projects or jobs change, be it by another process."""

    def __init__(self, server: ServerContext) -> None:
        self._server = server
        self._keys: tuple[Key, ...] | None = None
        self._tracked: Mapping[tuple[str, str], int] = {}
        self._proposed: frozenset[tuple[str, str]] = frozenset()
        self._generic: Mapping[str, tuple[int, GenericWebhook]] = {}
        self._projects: Mapping[str, frozenset[int]] = {}
        self._turns = count()

    def forget(self, topics: frozenset[str]) -> None:
        if topics & {"projects", "sources", UNTOLD}:
            self._keys = None

    def keys(self) -> Sequence[Key]:
        known = self._keys
        if known is None:
            with self._server.db.read() as tx:
                sealed = projects.webhook_secrets(tx)
                self._tracked = projects.repositories_in_scope(tx)
                self._projects = _by_repository(self._tracked)
                self._generic = projects.generic_webhooks(tx)
                self._proposed = projects.scopes_of_pull_requests(tx)
            scopes: dict[bytes, list[str]] = {}
            for each in sealed:
                try:
                    secret = self._server.vault.open(each.sealed, each.place).encode()
                except JobyardError as error:  # whoever looks at it is told; the others are in force
                    log.warning("the webhook secret of %s is left out: %s", each.scope, error)
                    continue
                scopes.setdefault(secret, []).append(each.scope)
            known = self._keys = tuple(Key(secret, tuple(names)) for secret, names in scopes.items())
        return known

    def lane(self, repo_keys: Iterable[str], scopes: Sequence[str]) -> str:
        """The lane of a push: what of it these scopes have; empty if none of them has one of these repositories."""
        tracked = self._tracked
        return lane_of(
            (tracked[scope, key], key) for key in repo_keys for scope in scopes if (scope, key) in tracked
        )

    def generic_call(self, webhook_id: str) -> tuple[GenericCall, frozenset[str]] | None:
        """The webhook of that id as the forge of a call, and the scopes that may prove it; None if there is none."""
        self.keys()
        found = self._generic.get(webhook_id)
        if found is None:
            return None
        own = {(scope, key) for (scope, key), project in self._tracked.items() if project == found[0]}
        call = GenericCall(found[1], b"", frozenset(key for _, key in own))
        return call, frozenset(scope for scope, _ in own)

    def wants_pull_requests(self, repo_keys: Iterable[str], scopes: Sequence[str]) -> bool:
        """Whether something that these scopes have builds pull requests of one of these repositories."""
        return any((scope, key) in self._proposed for key in repo_keys for scope in scopes)

    def about(self, forge: Forge, body: bytes) -> frozenset[About]:
        """The projects that have a repository which a call that nobody verified names."""
        named = {key for each in forge.repositories_in(plain(body)) for key in each.keys}
        return frozenset((project, key) for key in named for project in self._projects.get(key, ()))

    def is_quick(self, body: bytes) -> bool:
        """Whether every secret may be tried, and on the event loop."""
        return len(body) * len(self.keys()) <= INLINE

    def scopes_for(self, forge: Forge, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
        """The scopes of every secret that signed this body, of those that are worth trying."""
        keys = self.keys() if self.is_quick(body) else self._worth_trying(forge, body, headers)
        return [scope for key in keys if forge.verify(key.secret, body, headers) for scope in key.scopes]

    def _worth_trying(self, forge: Forge, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> list[Key]:
        """The secrets of the repository that the body names; others only as far as hashing costs next to nothing.

        There is always one, so that an unknown repository takes as long as a wrong signature.
        """
        repo_keys = [key for named in forge.repositories_in(plain(body)) for key in named.keys]
        likely = [key for key in self.keys() if self.lane(repo_keys, key.scopes)]
        if repo_keys and forge.event_kind(headers) == PUSH:  # no other secret may speak for it
            return likely or [self._may_know(repo_keys)]
        others = [key for key in self.keys() if key not in likely]
        return [*likely, *others[: max(1 - len(likely), EFFORT // len(body))]] or [NOBODY]

    def _may_know(self, repo_keys: Sequence[str]) -> Key:
        """A secret by which a push of a repository that nobody has may be told as that of one that was renamed.

        First those that have others of its owner; another one each time, as more than one would cost too much.
        """
        owners = {key.rpartition("/")[0] for key in repo_keys}
        known = {scope for scope, key in self._tracked if key.rpartition("/")[0] in owners}
        neighbours = [key for key in self.keys() if not known.isdisjoint(key.scopes)]
        choice = neighbours or self.keys() or [NOBODY]
        return choice[next(self._turns) % len(choice)]


def _by_repository(tracked: Mapping[tuple[str, str], int]) -> Mapping[str, frozenset[int]]:
    """The projects that have each repository."""
    found: dict[str, set[int]] = {}
    for (_, key), project in tracked.items():
        found.setdefault(key, set()).add(project)
    return {key: frozenset(projects_of_it) for key, projects_of_it in found.items()}
