"""Deploying to one job by hand: what was chosen becomes an image by its digest, before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.commands.image_ownership import require_usable
from app.commands.image_rollout import build_to_deploy, image_of
from app.domain.errors import InvalidValue
from app.domain.job.records import Deployed, Job, Pinned
from app.domain.references import Ours
from app.store.database import Tx

PinImage = Callable[[int, str], Pinned]  # for the job of that id; raises InvalidValue where it can't be had


@dataclass(frozen=True)
class DeployChoice:
    """A build made for the job, the latest or that with an id, or the reference of an image from a registry."""

    build: int | Literal["latest"] | None = None
    image: str | None = None

    @property
    def is_latest(self) -> bool:
        return self.build == "latest"


def pin_choice(choice: DeployChoice, job: Job, pin_image: PinImage) -> Pinned | None:
    """What a tag that was chosen means now; None where a build or a digest was. No transaction may be open.

    Raises InvalidValue, TransientError.
    """
    if choice.image is None or choice.build is not None or "@" in choice.image:
        return None
    return pin_image(job.id, choice.image)


def image_chosen(
    tx: Tx, ours: Ours, job: Job, choice: DeployChoice, pinned: Pinned | None, now: datetime
) -> Deployed:
    """The image that was chosen, by its digest. Raises InvalidValue or Conflict where there is none."""
    build, image = choice.build, choice.image
    if image is not None:
        if build is not None:
            raise InvalidValue("image", "image can't be set together with build: give one of them.")
        require_usable(tx, ours, job.project_id, image)
        held = pinned or Pinned(image, image.partition("@")[2])
        return Deployed(held.image, held.digest, None, None, "", now, reference=image)
    if build is None:
        raise InvalidValue("build", 'build is missing: give the id of a build, "latest", or an image.')
    return image_of(build_to_deploy(tx, job, None if build == "latest" else build), job, now)
