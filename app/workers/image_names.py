"""Names that earlier releases gave to images, and that others could guess, are replaced once after each start."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.commands.image_ownership import TAG_LENGTH
from app.domain.references import Ours, is_guessable
from app.engines.base import Engine
from app.runtime.ports import IMAGE_PURPOSE, Vault

log = logging.getLogger(__name__)


@dataclass
class ImageNames:
    """Runs hold images by digest and builds are found by their rows, so nothing looks for the old names."""

    engine: Engine
    vault: Vault
    ours: Ours
    is_done: bool = False

    def step(self) -> None:
        """Raises EngineUnavailable: the next step goes on."""
        if self.is_done:
            return
        renamed = self.engine.rename_images(self._new_name)
        self.is_done = True
        if renamed:
            log.info("gave %d images of earlier releases names that nobody can guess", renamed)

    def _new_name(self, name: str) -> str | None:
        """The same each time, so that a start that was interrupted is gone on with."""
        if not is_guessable(name, self.ours):
            return None
        return f"{name}-{self.vault.digest(name, IMAGE_PURPOSE)[:TAG_LENGTH]}"
