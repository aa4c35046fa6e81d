"""Webhooks at the forges of a project's repositories: made, changed and looked at by the forge's own API.

A person asks for it and waits: a forge has some seconds for each answer, and nobody else waits for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.commands.forge_access import ForgeAccess, forge_access
from app.domain.errors import Busy, Conflict, JobyardError
from app.domain.http import HttpAnswer, HttpRequest, NoAnswer, NotAllowed, NotAnAddress
from app.domain.sealing import of_project_hook
from app.forges.api import Hook, HookApi, Later, Moved, Refused, RepositoryApi
from app.runtime.ports import Clock, Vault
from app.store import repository_hooks
from app.store.database import Database
from app.store.projects import Project
from app.store.repository_hooks import RepositoryHook

AT_ONCE = 2
ABSENT = "There is no webhook of this server at the forge: register it."
OFF = "The webhook is switched off at the forge: register it again."
BY_APP = "The GitHub App of its credential tells of pushes: no webhook of the repository is needed."
NO_PUSHES = "The webhook sends no pushes: register it again."
MOVED = "The forge has the repository at another address by now: change it in the job."


@dataclass(frozen=True)
class RepositoryHooks:
    """`send` reaches forges; `forges` are the kinds whose webhooks are taken."""

    db: Database
    clock: Clock
    vault: Vault
    apis: Mapping[str, RepositoryApi]
    send: Callable[[HttpRequest], HttpAnswer]
    _places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))

    def look(self, project: Project, public_url: str) -> None:
        """Ask each forge for the webhooks of the project's repositories, and keep what is found."""
        self._each(project, public_url, secret=None)

    def register(self, project: Project, public_url: str) -> None:
        """Make the webhook of each repository, or make the one that is there lead here with the project's secret.

        Raises Conflict for a project without a secret.
        """
        if project.webhook_secret is None:
            raise Conflict(
                f"Project {project.name} has no webhook secret: set it first, it signs what is sent."
            )
        secret = self.vault.open(project.webhook_secret, of_project_hook(project.id))
        self._each(project, public_url, secret)

    def _each(self, project: Project, public_url: str, secret: str | None) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy("Others are asking forges for their webhooks: try again in a moment.")
        try:
            with self.db.read() as tx:
                repositories = repository_hooks.repositories(tx, project.id)
                known = repository_hooks.of_project(tx, project.id)
            for key, url in repositories:
                before = known.get(key) or RepositoryHook(key, "", "", "", "", self.clock.now())
                found = self._one(project, url, before, public_url, secret)
                with self.db.write() as tx:
                    repository_hooks.save(tx, project.id, found)
        finally:
            self._places.release()

    def _one(
        self, project: Project, url: str, before: RepositoryHook, public_url: str, secret: str | None
    ) -> RepositoryHook:
        """What is known of a repository's webhook now; a forge that says nothing useful changes only that."""
        key, now = before.repo_key, self.clock.now()
        try:
            with self.db.read() as tx:
                found = forge_access(tx, self.vault, self.apis, project.id, url)
            if found.app is not None:
                return RepositoryHook(key, "", "", "", BY_APP, now)
            address = f"{public_url}/webhooks/{found.kind}"
            hook = _ours(self._list(found), before.hook_id, address)
            if secret is not None:
                hook_id = hook.id if hook else None
                api = self.apis[found.kind]
                self._ask(found, api.save_hook(found.access, found.repository, hook_id, address, secret))
                hook = _ours(self._list(found), hook_id or "", address)
        except (NoAnswer, NotAllowed, NotAnAddress) as error:
            return RepositoryHook(
                key, before.hook_id, before.address, f"The forge {error}.", before.said, now
            )
        except JobyardError as error:
            return RepositoryHook(key, before.hook_id, before.address, str(error), before.said, now)
        if hook is None:
            return RepositoryHook(key, "", "", ABSENT, "", now)
        stale = before.problem if secret is None and before.problem == repository_hooks.SECRET_CHANGED else ""
        return RepositoryHook(key, hook.id, hook.address, _problem(hook, address) or stale, hook.said, now)

    def _list(self, found: ForgeAccess) -> Sequence[Hook]:
        api = self.apis[found.kind]
        return api.hooks_in(self._ask(found, api.hooks(found.access, found.repository)))

    def _ask(self, found: ForgeAccess, request: HttpRequest) -> HttpAnswer:
        """Raises Conflict unless the forge did it."""
        api: HookApi = self.apis[found.kind]
        answer = self.send(request)
        match api.hook_outcome(answer, self.clock.now()):
            case Later(sentence=sentence) | Refused(sentence=sentence):
                raise Conflict(f"{sentence} It is credential {found.credential}.")
            case Moved():
                raise Conflict(MOVED)
            case _:
                return answer


def _ours(hooks: Sequence[Hook], hook_id: str, address: str) -> Hook | None:
    """The webhook that leads here, else the one that was made by us when this server was called otherwise."""
    leads_here = next((each for each in hooks if _plain(each.address) == _plain(address)), None)
    return leads_here or next((each for each in hooks if hook_id and each.id == hook_id), None)


def _problem(hook: Hook, address: str) -> str:
    if _plain(hook.address) != _plain(address):
        return f"The webhook leads to {urlsplit(hook.address).netloc}, as this server was called: register it again."
    if not hook.is_active:
        return OFF
    return "" if hook.takes_pushes else NO_PUSHES


def _plain(address: str) -> str:
    return address.rstrip("/").lower()
