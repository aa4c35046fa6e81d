"""Images of the process engine: `process:` and the absolute path of a JSON manifest

    {"root": "/…/tree", "env": {…}, "entrypoint": […], "command": […]}

`root` is the built source tree, of which each run works in a copy of its own; the rest as in a container image, each
optional.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.disk import size_of
from app.domain.held_images import HeldImage
from app.engines.base import ContainerSpec, ImageUnavailable, ResolvedImage, StartRefused
from builders.trees import remove_tree

PREFIX = "process:"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Manifest:
    root: str
    env: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]


def resolve(reference: str) -> ResolvedImage:
    """The digest is that of the manifest."""
    return ResolvedImage(reference, "sha256:" + hashlib.sha256(_read(reference)).hexdigest())


def load(image: str) -> Manifest:
    """Raises ImageUnavailable, also if the tree is gone."""
    try:
        data = json.loads(_read(image))
        manifest = Manifest(
            root=str(data["root"]),
            env=dict(data.get("env") or {}),
            entrypoint=tuple(data.get("entrypoint") or ()),
            command=tuple(data.get("command") or ()),
        )
    except (ValueError, KeyError, TypeError) as error:
        message = f"{image} is not a manifest of the process engine: {error!r}."
        raise ImageUnavailable(message, is_missing=False) from error
    if not Path(manifest.root).is_dir():
        raise ImageUnavailable(f"The tree {manifest.root} of {image} is gone.")
    return manifest


def argv(spec: ContainerSpec, manifest: Manifest) -> list[str]:
    """Return the arguments that the specification and the image make. Raises StartRefused if nothing is left to
    run.
    """
    if spec.entrypoint is None:
        command = manifest.command if spec.command is None else spec.command
        words = [*manifest.entrypoint, *command]
    else:
        words = [*spec.entrypoint, *(spec.command or ())]
    if not words:
        raise StartRefused("There is no command to run: neither the image nor the job names one.")
    return words


def environment(spec: ContainerSpec, manifest: Manifest) -> dict[str, str]:
    """Return the variables of the image and the specification; none of the server's own are among them."""
    return {"PATH": _DEFAULT_PATH, **manifest.env, **spec.env}


def _read(image: str) -> bytes:
    path = Path(image.removeprefix(PREFIX))
    if not image.startswith(PREFIX) or not path.is_absolute():
        raise ImageUnavailable(
            f"The process engine runs only what was built for it, no image such as {image}.",
            is_missing="sha256:" in image,  # another engine had it
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageUnavailable(f"There is no manifest {path}: {error.strerror}.") from error


def built(root: Path) -> list[HeldImage]:
    """Return the images that builds have made in a directory."""
    found = []
    for manifest in root.glob("*/image.json"):
        with suppress(OSError):
            digest = "sha256:" + hashlib.sha256(manifest.read_bytes()).hexdigest()
            found.append(HeldImage((f"{PREFIX}{manifest}",), frozenset({digest}), size_of(manifest.parent)))
    return found


def remove(name: str) -> bool:
    """Remove an image that a build has made; False while somebody builds the same. Runs have copies of their own."""
    manifest = Path(name.removeprefix(PREFIX))
    with manifest.parent.with_suffix(".lock").open("w") as lock:  # as who builds it does
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            manifest.unlink(missing_ok=True)
            remove_tree(manifest.parent)
        except OSError:
            return False
    return True
