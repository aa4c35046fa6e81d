"""Images in the registry that nobody needs any more, by the same rules as those on the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from app.commands.remote_access import registry_access
from app.domain.errors import JobyardError
from app.domain.references import Ours
from app.registry import Login, Removal, remove_manifest
from app.runtime.ports import Clock, Vault
from app.store import image_needs
from app.store.database import Database
from app.store.image_needs import Pushed

log = logging.getLogger(__name__)
PAGE, MOST = 200, 500  # images that are looked at together; that one pass removes
REST_SECONDS = 0.2  # after each


@dataclass(frozen=True)
class RegistryRetention:
    """Images are removed by each project's own login. `refused` are the projects whose login may not, or whose registry
    removes nothing: they are not asked about again until the server starts anew.
    """

    db: Database
    clock: Clock
    vault: Vault
    ours: Ours
    remove: Callable[[str, Login | None], Removal] = remove_manifest
    refused: set[int] = field(default_factory=set)

    def step(self, rest: Callable[[float], object]) -> int:
        """Remove what nobody needs; how many images went. A registry that does not answer is asked later."""
        removed = after = 0
        while removed < MOST:
            page = self._unneeded(after)
            if page is None:
                return removed
            after, unneeded = page
            for each in unneeded:
                if each.project_id in self.refused:
                    continue
                try:
                    removed += self._remove(each)
                except JobyardError as error:
                    log.info("images in the registry are looked at later: %s", error)
                    return removed
                rest(REST_SECONDS)
        return removed

    def _unneeded(self, after: int) -> tuple[int, list[Pushed]] | None:
        """The next images, and the build to go on after; None at the end."""
        with self.db.read() as tx:
            pushed = image_needs.pushed(tx, self.ours.registry or "", after, PAGE)
            if not pushed:
                return None
            needed = image_needs.needed(tx, self.ours)
            made = image_needs.made(tx, {each.digest for each in pushed})
        unneeded = [
            each
            for each in pushed
            if not made.get(each.digest, set()) & needed.builds
            and not {each.digest, each.image} & needed.digests
        ]
        return pushed[-1].build_id, unneeded

    def _remove(self, pushed: Pushed) -> bool:
        with self.db.read() as tx:
            login = registry_access(tx, self.vault, pushed.project_id, pushed.image)
        known = None if login is None else (login.username, login.password)
        if self.remove(pushed.image, known) is Removal.REFUSED:
            self.refused.add(pushed.project_id)
            log.warning(
                "the registry lets nobody remove %s: see to its images by its own rules", pushed.image
            )
            return False
        with self.db.write() as tx:
            image_needs.note_removed(tx, pushed.image, self.clock.now())
        return True
