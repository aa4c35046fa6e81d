"""What an image reference means, asked of registries and the engine while a request waits: within a bound of time.

No transaction is open meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from app.commands.image_ownership import own_image, require_own, require_usable
from app.commands.remote_access import registry_access, registry_access_of_job
from app.domain.errors import Conflict, EngineUnavailable, InvalidValue, JobyardError, UserError
from app.domain.job.records import Pinned
from app.domain.references import Ours
from app.engines.base import Engine, ImageUnavailable, RegistryLogin, ResolvedImage
from app.runtime.engine_health import EngineHealth
from app.runtime.ports import Vault
from app.runtime.threads import map_in_threads, with_deadline
from app.store import jobs
from app.store.database import Database, Tx

T = TypeVar("T")
WAITING_AT_ONCE = 8


@dataclass(frozen=True)
class Sighting:
    """What a look for an image found: its digest, or why it can't be had. Neither where nobody said in time."""

    digest: str = ""
    refusal: str = ""


@dataclass(frozen=True)
class Resolver:
    """A registry has `registry_seconds` to answer, and the engine `engine_seconds` after that.

    So few requests wait for them at once that the others always have threads. Where the engine is known not to answer,
    as `health` says, none does.
    """

    db: Database
    engine: Engine
    vault: Vault
    ours: Ours
    health: Callable[[], EngineHealth]
    registry_seconds: float = 5.0
    engine_seconds: float = 2.0
    turns: threading.BoundedSemaphore = field(
        default_factory=partial(threading.BoundedSemaphore, WAITING_AT_ONCE)
    )

    def pin(self, job_id: int, reference: str) -> Pinned:
        """What a reference means for a job now: at its registry or, where none answers, the engine's own image.

        Raises InvalidValue where it can't be had or is another project's, EngineUnavailable where nobody answers.
        """
        with self.db.read() as tx:
            project_id = jobs.with_id(tx, job_id).project_id
        try:
            return self._found(project_id, reference, lambda tx: self._login(tx, job_id, reference))
        except ImageUnavailable as error:
            raise InvalidValue("image", f"image can't be had, so nothing was changed. {error}") from error

    def sighted(self, project_id: int, reference: str, credential: str | None) -> Sighting:
        """Whether a new job of the project could have an image now, with the credential that it names."""

        def login(tx: Tx) -> RegistryLogin | None:
            return registry_access(tx, self.vault, project_id, reference, credential)

        try:
            return Sighting(self._found(project_id, reference, login).digest)
        except EngineUnavailable:
            return Sighting()
        except UserError as error:
            return Sighting(refusal=str(error))

    def _found(self, project_id: int, reference: str, login: Callable[[Tx], RegistryLogin | None]) -> Pinned:
        with self.db.read() as tx:
            require_usable(tx, self.ours, project_id, reference)
            own = own_image(tx, self.ours, project_id, reference)
            known = login(tx) if own is None else None
        if own is not None:
            return Pinned(*own)
        with self._admitted():
            found = self._ask(reference, known)
        with self.db.read() as tx:
            require_own(tx, project_id, reference, found.digest)
        return Pinned(found.image, found.digest)

    def missing(self, images: Mapping[int, str]) -> frozenset[str]:
        """Those of jobs' images that are nowhere any more. Raises EngineUnavailable where nobody says, and Conflict
        where one is refused.

        What the engine has lost is pulled; if that takes longer than a moment, it goes on beside.
        """
        job_of = {image: job_id for job_id, image in images.items()}
        with self._admitted():
            each = list(job_of)
            are_there = map_in_threads("images", lambda image: self._is_there(job_of[image], image), each)
        return frozenset(image for image, is_there in zip(each, are_there, strict=True) if not is_there)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        health = self.health()
        if not health.is_up:
            raise EngineUnavailable(f"{health.sentence} Nothing was changed.")
        if not self.turns.acquire(blocking=False):
            raise EngineUnavailable(
                "Too many requests wait for an answer about images: nothing was changed, try again soon."
            )
        try:
            yield
        finally:
            self.turns.release()

    def _is_there(self, job_id: int, image: str) -> bool:
        try:
            with_deadline(self.engine_seconds, "resolve", partial(self.engine.image_config, image))
        except TimeoutError:
            raise EngineUnavailable(
                f"The container engine does not say in time whether it has {image}, so nothing was changed: try again."
            ) from None
        except ImageUnavailable:
            try:
                with self.db.read() as tx:
                    login = self._login(tx, job_id, image)
                self._ask(image, login)
            except UserError as error:
                if isinstance(error, ImageUnavailable) and error.is_missing:
                    return False
                raise Conflict(f"Image {image} can't be had, so nothing was changed. {error}") from error
            with suppress(TimeoutError, JobyardError):
                with_deadline(self.engine_seconds, "pull", partial(self.engine.resolve, image, login))
        return True

    def _ask(self, reference: str, login: RegistryLogin | None) -> ResolvedImage:
        ask = partial(self.engine.resolve, reference, login, pull=False)
        try:
            return with_deadline(self.registry_seconds, "resolve", ask)
        except TimeoutError:
            try:
                return self._soon(reference, partial(self.engine.held, reference), self.engine_seconds)
            except ImageUnavailable:
                raise _nobody_answers(reference) from None

    def _soon(self, reference: str, call: Callable[[], T], seconds: float) -> T:
        try:
            return with_deadline(seconds, "resolve", call)
        except TimeoutError:
            raise _nobody_answers(reference) from None

    def _login(self, tx: Tx, job_id: int, reference: str) -> RegistryLogin | None:
        return registry_access_of_job(tx, self.vault, jobs.with_id(tx, job_id), reference)


def _nobody_answers(reference: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"Neither the registry of {reference} nor the container engine says in time what that is,"
        " so nothing was changed: try again."
    )
