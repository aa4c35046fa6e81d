"""Which of the images that an engine holds go: only names that this installation gave, and nothing that is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from app.domain.references import Means, Ours, meaning_of, own_names_in

PROCESS_PREFIX = "process:"


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image of an engine: `names` with a tag or a digest, `digests` that identify it, and what it takes."""

    names: tuple[str, ...]
    digests: frozenset[str]
    bytes: int


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What an engine keeps so that builds are quicker: how many parts, and the bytes that they take."""

    parts: int
    bytes: int


@dataclass(frozen=True)
class NeededImages:
    """What has to stay: images of builds, by their ids and digests, and those that Dockerfiles name.

    `newest_build` is the greatest id of all: what claims to be of a later one is another copy's of this installation.
    """

    builds: Set[int] = field(default_factory=frozenset)
    digests: Set[str] = field(default_factory=frozenset)
    names: Set[str] = field(default_factory=frozenset)
    newest_build: int = 0


@dataclass(frozen=True, slots=True)
class Unneeded:
    """An image that goes, and its names that are ours."""

    image: HeldImage
    names: tuple[str, ...]


def unneeded(
    images: Iterable[HeldImage], needed: NeededImages, made: Mapping[str, Set[int]], ours: Ours
) -> list[Unneeded]:
    """Return what goes; `made` are the builds that have a digest."""
    found = []
    for image in images:
        of_digest = {build for digest in image.digests for build in made.get(digest, ())}
        tagged = {build for name in image.names if (build := _build_of(name, ours)) is not None}
        names = _names_of_ours(image, ours, is_known=bool(of_digest))
        is_needed = (
            bool((of_digest | tagged) & needed.builds)
            or bool(image.digests & needed.digests)
            or any(build > needed.newest_build for build in tagged)
            or any(name.lower() in needed.names for name in image.names)
        )
        if names and not is_needed:
            found.append(Unneeded(image, names))
    return found


def named_in(dockerfiles: Iterable[str]) -> frozenset[str]:
    """Return the names of images of ours that are in the texts."""
    return frozenset(name for text in dockerfiles for name in own_names_in(text))


def _names_of_ours(image: HeldImage, ours: Ours, *, is_known: bool) -> tuple[str, ...]:
    """Names below the place in the registry are another installation's too, unless a build here made the image."""
    return tuple(name for name in image.names if _is_ours(name, ours, is_known=is_known))


def _is_ours(name: str, ours: Ours, *, is_known: bool) -> bool:
    if name.startswith(PROCESS_PREFIX):
        return is_known
    meaning = meaning_of(name, ours)
    if meaning is None:
        return False
    if meaning.means is Means.BUILD:
        return bool(meaning.value)
    return meaning.means is Means.PROJECT and is_known


def _build_of(name: str, ours: Ours) -> int | None:
    meaning = meaning_of(name, ours)
    is_build = meaning is not None and meaning.means is Means.BUILD and meaning.value
    return int(meaning.value) if meaning is not None and is_build else None


def weight(images: Sequence[Unneeded]) -> int:
    """Return what they take at most: images share layers."""
    return sum(each.image.bytes for each in images)
