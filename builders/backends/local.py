"""Images without a container engine: a plan carried out on this machine, into a directory. No isolation.

An image is `<root>/<key>/`, the key made of the context's files, the recipe, and the machine's toolchain:

    image.json   the manifest, written last: without it the directory is a build that did not end
    app/  opt/   what the plan puts in /app and /opt          bin/  usr/   programs that jobs find by name

The stages of a plan share these places, so that copying from one stage to the next is nothing to do.
"""

import fcntl
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from builders.backends.base import (
    BackendUnavailable,
    BuildFailed,
    BuildRequest,
    BuiltImage,
    ImageBackend,
    Step,
    StopSignal,
)
from builders.backends.context import Context, read_context
from builders.backends.ignoring import Ignore
from builders.backends.places import Places
from builders.backends.recipe import Recipe
from builders.backends.session import Session
from builders.backends.toolchains import Found, find_toolchain
from builders.instructions import Run
from builders.plan import BuildPlan
from builders.source import SourceTree
from builders.trees import remove_tree
from builders.wildcards import TooMuchWork

MANIFEST = "image.json"
NEEDS_ENGINE = "A Dockerfile needs a container engine: set JOBYARD_ENGINE=docker."
LOCK_POLL_SECONDS = 0.05


class LocalBackend(ImageBackend):
    """Builds images on this machine, below `root`, whose path has no spaces.

    `BuiltImage.image` is `process:` and the manifest's path.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root.absolute()
        self._clock = clock

    def build(
        self,
        request: BuildRequest,
        *,
        on_output: Callable[[bytes], None],
        on_step: Callable[[Step], None],
        should_stop: StopSignal,
        time_limit_seconds: float | None,
    ) -> BuiltImage:
        plan = request.plan
        if plan is None or plan.dockerfile_text is not None:
            raise BuildFailed(NEEDS_ENGINE)
        self._make_root()
        session = Session(on_output, on_step, should_stop, time_limit_seconds, self._clock)
        toolchain = find_toolchain(plan)
        context = _context(request, session.check)
        key = image_key(request, plan, context.digest(session.check), toolchain)
        directory = self._root / key
        with _only_builder(directory, session):
            if not request.no_cache and (directory / MANIFEST).is_file():
                session.say(f"Nothing has changed since {key} was built: it is used again.")
                return _built(directory)
            _notes(session, context, toolchain)
            return _make(Recipe(request, plan, context, toolchain, Places(directory)), session)

    def _make_root(self) -> None:
        if re.search(r"[^\w./+@%=-]", str(self._root)):
            raise BackendUnavailable(
                f"The process engine can't build below {str(self._root)!r}: set JOBYARD_DATA to a path "
                "without spaces and quotes."
            )
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)


def image_key(request: BuildRequest, plan: BuildPlan, tree: str, toolchain: Found | None) -> str:
    """Return a key that is equal for builds that would make the same image.

    As in any build cache, the values of secrets don't count.
    """
    phases = {step.phase for stage in plan.stages for step in stage.steps if isinstance(step, Run)}
    facts = {
        "tree": tree,
        "stages": [asdict(stage) for stage in plan.stages],
        "command": plan.command,
        "variables": {phase: _visible(request, phase) for phase in ("install", "build") if phase in phases},
        "secrets": sorted(request.secrets),
        "toolchain": [str(toolchain.program), toolchain.version] if toolchain else None,
        "scope": request.scope,
        "nonce": uuid.uuid4().hex if request.no_cache else None,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _visible(request: BuildRequest, phase: str) -> dict[str, str]:
    return Recipe.visible(request.build_args, phase)


def _context(request: BuildRequest, check: Callable[[], None]) -> Context:
    if not request.context.is_dir():
        raise BuildFailed(f"The root directory {request.context.name!r} is not in the repository.")
    text = request.dockerignore or SourceTree(request.context).read_text(".dockerignore") or ""
    try:
        return read_context(request.context, Ignore.parse(text), check)
    except TooMuchWork:
        raise BuildFailed(
            "The ignore file takes too long to be matched with the repository's files: use fewer and simpler lines."
        ) from None


def _notes(session: Session, context: Context, toolchain: Found | None) -> None:
    session.say("Building on this machine itself, without a container and without isolation.")
    if toolchain:
        session.say(toolchain.note)
    for path in context.left_out:
        session.say(f"{path} is left out: it leads out of the repository, or is no file.")


@contextmanager
def _only_builder(directory: Path, session: Session) -> Iterator[None]:
    """Wait until nobody else builds this image, in this process or another."""
    with directory.with_suffix(".lock").open("w") as lock:
        while True:
            session.check()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(LOCK_POLL_SECONDS)
        yield


def _make(recipe: Recipe, session: Session) -> BuiltImage:
    """Build the image in its final place, as virtual environments and scripts hold absolute paths. A failure leaves
    nothing.
    """
    directory = recipe.places.directory
    _discard(directory)
    try:
        env = recipe.carry_out(session)
        manifest = {
            "root": str(recipe.places.app),
            "env": env,
            "entrypoint": [],
            "command": [recipe.places.here(word) for word in recipe.plan.command],
        }
        _write(directory / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    except BaseException:
        _discard(directory)
        raise
    return _built(directory)


def _discard(directory: Path) -> None:
    with suppress(OSError):
        remove_tree(directory)


def _built(directory: Path) -> BuiltImage:
    manifest = directory / MANIFEST
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    return BuiltImage(f"sha256:{digest}", f"process:{manifest}")


def _write(path: Path, data: bytes) -> None:
    """Write the file whole or not at all, also if the power fails."""
    draft = path.with_name(f".{path.name}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
