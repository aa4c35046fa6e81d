"""Image references."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping

from app.domain.egress import Egress
from app.domain.errors import EngineUnavailable
from app.domain.held_images import CacheUse, HeldImage
from app.engines.base import ImageConfig, ImageUnavailable, RegistryLogin, ResolvedImage
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Calls, Conflicting, Gone, Refusal
from app.engines.docker.registries import require_reachable, what_is_wrong

log = logging.getLogger(__name__)
_NAMELESS = "<none>"
_PRUNE_SECONDS = 600.0  # gigabytes of small files take their time
_NO_ACCESS = {401, 403}
_NO_LOGIN = (
    "no basic auth credentials"  # the engine's words, with status 500, where a registry asks for a login
)


def split_reference(reference: str) -> tuple[str, str]:
    """Return `(repository, tag or digest)`: `host:5000/a/b:1` is `("host:5000/a/b", "1")`; without a tag it is
    `latest`.
    """
    name, at, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    bare, colon, tag = last.partition(":")
    return f"{head}{slash}{bare}", digest if at else tag if colon else "latest"


def split_environment(pairs: Iterable[str] | None) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs or ())}


def resolve(
    calls: Calls, reference: str, login: RegistryLogin | None, egress: Egress, *, pull: bool
) -> ResolvedImage:
    """Resolve as `Engine.resolve` says. A registry's refusal is final; one that doesn't answer decides nothing."""
    if reference.startswith("sha256:"):
        return held(calls, reference)
    require_reachable(reference, egress)
    auth = {"username": login.username, "password": login.password} if login else None
    try:
        with calls.api() as client:
            answer = client.inspect_distribution(reference, auth_config=auth)
    except Gone as error:
        raise ImageUnavailable(f"The registry has no image {reference}.") from error
    except Refusal as error:
        if error.status in _NO_ACCESS or _NO_LOGIN in error.explanation:
            raise ImageUnavailable(
                f"The registry gives no access to {reference}: check its name and the registry credential.",
                is_missing=False,
            ) from error
        if error.status < 500:
            raise ImageUnavailable(f"{reference!r} is not an image reference.", is_missing=False) from error
        return _own_image_instead(calls, reference, error)
    digest = answer["Descriptor"]["digest"]
    repository, _ = split_reference(reference)
    image = f"{repository}@{digest}"
    if pull:
        _bring(calls, repository, digest, auth)
    return ResolvedImage(image, digest)


def image_config(calls: Calls, image: str) -> ImageConfig:
    config = _inspect(calls, image).get("Config") or {}
    return {
        "entrypoint": list(config.get("Entrypoint") or ()),
        "command": list(config.get("Cmd") or ()),
        "env": split_environment(config.get("Env")),
    }


def user(calls: Calls, image: str) -> str:
    """Whom the image says that it runs as, such as `1000:1000`; empty for root."""
    return str((_inspect(calls, image).get("Config") or {}).get("User") or "")


def volumes(calls: Calls, image: str) -> tuple[str, ...]:
    """Return the directories that the image declares as volumes. Raises ImageUnavailable."""
    return tuple((_inspect(calls, image).get("Config") or {}).get("Volumes") or ())


def size(calls: Calls, image: str) -> int:
    """Return how many bytes the image's files have. Raises ImageUnavailable."""
    return int(_inspect(calls, image)["Size"])


def rename(calls: Calls, new_name: Callable[[str], str | None]) -> int:
    """Rename as `Engine.rename_images` says. An image with another name keeps its layers, whatever uses it."""
    with calls.api() as client:
        names = [name for image in client.images() for name in image["RepoTags"] or ()]
    renamed = 0
    for name in names:
        given = new_name(name)
        if given is None:
            continue
        try:
            with calls.api() as client:
                client.tag(name, *split_reference(given))
                client.remove_image(name, noprune=True)
            renamed += 1
        except (
            Refusal
        ) as error:  # removed meanwhile, or of a sort that can't be named: no reason to leave the others
            log.warning("image %s could not be renamed: %s", name, error)
    return renamed


def named(calls: Calls) -> list[HeldImage]:
    """Return what `Engine.images` says."""
    with calls.api() as client:
        found = client.images()
    return [_held_image(each) for each in found if each.get("RepoTags") or each.get("RepoDigests")]


def _held_image(found: ApiObject) -> HeldImage:
    """Of an image that has lost its name the engine says `<none>`."""
    tags = [name for name in found.get("RepoTags") or () if not name.startswith(_NAMELESS)]
    by_digest = [name for name in found.get("RepoDigests") or () if not name.startswith(_NAMELESS)]
    digests = {found["Id"], *(name.partition("@")[2] for name in by_digest)}
    return HeldImage((*tags, *by_digest), frozenset(digests), found["Size"])


def remove(calls: Calls, name: str) -> bool:
    """Remove as `Engine.remove_image` says; layers that nothing else has go with the image."""
    try:
        with calls.api() as client:
            client.remove_image(name)
    except Gone:
        return True
    except Conflicting as error:
        log.info("image %s stays for now: %s", name, error.explanation)
        return False
    return True


def prune_build_cache(calls: Calls, keep_bytes: int) -> int:
    """Remove as `Engine.prune_build_cache` says: what nothing has used for longest, and nothing uses now."""
    with calls.api() as client:
        answer = client.post(
            client._url("/build/prune"), params={"keep-storage": keep_bytes}, timeout=_PRUNE_SECONDS
        )
        client._raise_for_status(answer)
        removed: int = answer.json().get("SpaceReclaimed") or 0
        return removed


def build_cache(calls: Calls) -> CacheUse:
    """Return what `Engine.build_cache` says. Layers that images have too are not counted: they would stay."""
    with calls.api() as client:
        answer = client.get(client._url("/system/df"), params={"type": "build-cache"}, timeout=_PRUNE_SECONDS)
        client._raise_for_status(answer)
        found = [each for each in answer.json().get("BuildCache") or () if not each.get("Shared")]
    return CacheUse(len(found), sum(each["Size"] for each in found))


def _own_image_instead(calls: Calls, reference: str, error: Refusal) -> ResolvedImage:
    try:
        return held(calls, reference)
    except ImageUnavailable:
        raise EngineUnavailable(
            f"The registry of {reference} {what_is_wrong(error.explanation)}, and the engine has no such image."
        ) from error


def held(calls: Calls, reference: str) -> ResolvedImage:
    """Find the image by its whole id or one of its names; the engine itself would complete the first digits of an
    id, too.
    """
    found = _inspect(calls, reference)
    image_id: str = found["Id"]
    is_id = image_id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
    if is_id and reference != image_id and f"{reference}:latest" not in (found.get("RepoTags") or ()):
        raise ImageUnavailable(f"The engine has no image named {reference}.")
    return ResolvedImage(image_id, image_id)


def _inspect(calls: Calls, image: str) -> ApiObject:
    try:
        with calls.api() as client:
            found: ApiObject = client.inspect_image(image)
            return found
    except Gone as error:
        raise ImageUnavailable(f"The engine has no image {image}.") from error


def _bring(calls: Calls, repository: str, digest: str, auth: Mapping[str, str] | None) -> None:
    try:
        _inspect(calls, f"{repository}@{digest}")
    except ImageUnavailable:
        _pull(calls, repository, digest, auth)


def _pull(calls: Calls, repository: str, digest: str, auth: Mapping[str, str] | None) -> None:
    try:
        with calls.api() as client:
            for line in client.pull(repository, tag=digest, auth_config=auth, stream=True):
                for message in line.splitlines():
                    if b'"error"' in message:
                        said = str(json.loads(message)["error"])
                        raise EngineUnavailable(
                            f"The registry of {repository}@{digest} {what_is_wrong(said)} while it is pulled."
                        )
    except Gone as error:
        raise ImageUnavailable(f"The registry has no image {repository}@{digest}.") from error
