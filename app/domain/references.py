"""Image references: which of them mean an image that Jobyard built, and for whom.

Images belong to the project they were built for. A reference that says so by itself is refused to everybody else; what
a reference turns out to mean is looked at once more where it is resolved (`may_use` of its digest).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Set
from dataclasses import dataclass

from app.domain.hosts import PUBLIC_REGISTRY, registry_host, same_registry

_OWN_REPOSITORY = re.compile(r"jobyard-[0-9a-f]{12}(?:-[0-9a-f]+)?")  # of an installation, in an epoch
_OWN_NAME = re.compile(
    r"(?<![\w.-])jobyard-[0-9a-f]{12}(?:-[0-9a-f]+)?(?![\w-])(?:[:@][\w.:-]*)?", re.ASCII | re.IGNORECASE
)
_OWN_TAG = re.compile(r"build-([0-9]{1,18})(?:-[0-9a-f]+)?")
_GUESSABLE = re.compile(r"(?:localhost/)?(jobyard-[0-9a-f]{12})(?:-[0-9a-f]+)?:build-[0-9]{1,18}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_WHOLE_ID = re.compile(r"[0-9a-f]{64}")
_PART_OF_ID = re.compile(r"[0-9a-f]{7,63}|sha256:.*")


@dataclass(frozen=True, slots=True)
class Ours:
    """The names of this installation's images: their name on the engine, and JOBYARD_REGISTRY, such as `host/team`."""

    repository: str
    registry: str | None = None


class Means(enum.StrEnum):
    ID = "id"  # an image of this engine by its id: only ever one's own
    PART_OF_ID = "part of an id"  # which the engine would complete: nobody's
    BUILD = "build"  # a name that Jobyard gave
    PROJECT = "project"  # below a project's place in the registry that Jobyard pushes to
    DIGEST = "digest"  # of an image of any name


@dataclass(frozen=True, slots=True)
class Meaning:
    """`value` is a digest, a build's id (empty where no build can have that name), or a project's name."""

    means: Means
    value: str


def meaning_of(reference: str, ours: Ours) -> Meaning | None:
    """Return what a reference means of Jobyard's own, as far as it says; None for a name of somebody else's.

    A name that another installation gives on the same engine, or this one gave before it was restored from a copy,
    counts as that of a build nobody has: the copy may number its builds alike.
    """
    if _DIGEST.fullmatch(reference) or _WHOLE_ID.fullmatch(reference):
        return Meaning(Means.ID, f"sha256:{reference.removeprefix('sha256:')}")
    if _PART_OF_ID.fullmatch(reference):
        return Meaning(Means.PART_OF_ID, reference)
    name, _, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    bare, _, tag = last.partition(":")
    path = _path(f"{head}{slash}{bare}")
    host = registry_host(reference)
    if _OWN_REPOSITORY.fullmatch(path.lower()) and _is_local(host):
        build = _OWN_TAG.fullmatch(tag) if path == ours.repository and not digest else None
        return Meaning(Means.BUILD, build[1] if build else "")
    project = _project_in(ours.registry, host, path) if ours.registry else ""
    if project:
        return Meaning(Means.PROJECT, project)
    return Meaning(Means.DIGEST, digest) if digest else None


def _project_in(registry: str, host: str, path: str) -> str:
    """The project whose place in the registry is meant: `REGISTRY/PROJECT/SOURCE`."""
    above = _path(f"{registry.strip('/')}/")
    if not same_registry(host, registry_host(f"{registry}/")) or not path.startswith(above):
        return ""
    project, _, deeper = path.removeprefix(above).partition("/")
    return project if deeper else ""


def own_names_in(text: str) -> frozenset[str]:
    """Whatever in a text looks like a name that Jobyard gave to an image."""
    return frozenset(found[0].lower().rstrip(".:-@") for found in _OWN_NAME.finditer(text))


def is_guessable(name: str, ours: Ours) -> bool:
    """Return whether an image has a name that earlier releases gave, of this installation in any epoch.

    Whoever knows the number of a build knows that name, and a base image can be made to ask for it by `ONBUILD`.
    """
    found = _GUESSABLE.fullmatch(name)
    return found is not None and (ours.repository == found[1] or ours.repository.startswith(f"{found[1]}-"))


def may_use(meaning: Meaning, project_id: int, owners: Set[int]) -> bool:
    """Return whether a project may use what is meant; `owners` are the projects whose it is, none if it is nobody's."""
    match meaning.means:
        case Means.PART_OF_ID:
            return False
        case Means.ID | Means.BUILD:
            return project_id in owners
        case Means.PROJECT | Means.DIGEST:
            return not owners or project_id in owners


def refusal(meaning: Meaning, reference: str) -> str:
    """Return what follows the field's name in the sentence for a reference that may not be used."""
    match meaning.means:
        case Means.PART_OF_ID:
            return f"must be a name with a tag, or a whole digest, not the id {reference!r}"
        case Means.ID:
            return f"must be an image of this project, and none of its builds made {reference}"
        case _:
            return f"must not be {reference}, which is not an image of this project"


def _path(name: str) -> str:
    """The repository without its registry, and without what an official image may be written with."""
    first, slash, rest = name.partition("/")
    path = rest if slash and registry_host(f"{first}/") == first else name
    return path.removeprefix("library/")


def _is_local(host: str) -> bool:
    """Return whether an engine takes names of this host for those of its own images; Podman writes `localhost`."""
    return same_registry(host, PUBLIC_REGISTRY) or host.lower() == "localhost"
