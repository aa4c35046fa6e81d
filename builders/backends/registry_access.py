"""Which registries a build asks, and by which logins: whether two builds may go on at the same time.

BuildKit looks an image up once for all builds that ask for it at that moment, whoever may have it: a build without
the login for a private base image gets it by the login of the build beside it. One after the other, each is asked
for its own. So two builds that name the same registry with different logins must not overlap.

The Dockerfile is read generously, word by word, whatever it continues, comments out or puts into a here-document: a
word too many makes a build wait, one too few opens a door. Not seen: images that the `ONBUILD` lines of a base image
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from builders.backends.base import BuildRequest, Login
from builders.backends.logins import PUBLIC, registry_of

_ALIASES = {"index.docker.io": PUBLIC, "registry-1.docker.io": PUBLIC}
_ESCAPE = re.compile(r"^[^\S\n]*#[^\S\n]*escape[^\S\n]*=", re.IGNORECASE | re.MULTILINE)
_SYNTAX = re.compile(
    r"^[^\S\n]*(?:#|//)[^\S\n]*syntax[^\S\n]*=[^\S\n]*([^\n]*\S)", re.IGNORECASE | re.MULTILINE
)
_KNOWN_SYNTAX = re.compile(r"(?:docker\.io/)?docker/dockerfile(?:[:@][\w.:@-]+)?", re.ASCII)
_COMMENT = re.compile(r"^[^\S\n]*#.*\n", re.MULTILINE)
_CONTINUATION = re.compile(r"\\[^\S\n]*\n(?:[^\S\n]*\n)*")
_SPACE = re.compile(r"[ \t\v\f\r\n]+")
_PLAIN = re.compile(r"[\w.:@-]+", re.ASCII)
_PLAIN_FLAG = re.compile(r"[!#-&(-\[\]-~]+")  # printable, without quotes and backslashes


class _Unclear(Exception):
    """What is named can't be known before the build."""


@dataclass(frozen=True)
class Access:
    """What a build asks of registries.

    - `hosts`: those whose images it names, or None where it may be any. An official image (`python:3.12`,
      `docker.io/library/…`, the frontend `docker/dockerfile`) names none: everybody may have it.
    - `logins`: by host.
    """

    hosts: frozenset[str] | None
    logins: Mapping[str, Login] = field(default_factory=dict)

    def may_overlap(self, other: Access) -> bool:
        """Return whether each registry that both may ask knows both by the same login; no login is one, too."""
        if self.hosts is None:
            shared = {*self.logins, *other.logins} if other.hosts is None else other.hosts
        else:
            shared = self.hosts if other.hosts is None else self.hosts & other.hosts
        return all(self.logins.get(host) == other.logins.get(host) for host in shared)


def access_of(request: BuildRequest) -> Access:
    text = request.dockerfile_text
    if text is None and request.dockerfile_path is not None:
        text = request.dockerfile_path.read_text(errors="replace")
    logins = {_canonical(host): login for host, login in request.logins.items()}
    chosen = request.build_args.get("BUILDKIT_SYNTAX")
    try:
        if chosen is not None:
            _require_known_syntax(chosen)
        return Access(frozenset(_hosts(text or "")), logins)
    except _Unclear:
        return Access(None, logins)


def _hosts(text: str) -> Iterator[str]:
    """Return the hosts of all images named. Raises _Unclear where any host may be meant, as with a build argument
    or another frontend.
    """
    text = text.removeprefix("\ufeff")
    if _ESCAPE.search(text) or text.lstrip().startswith("{"):
        raise _Unclear
    for syntax in _SYNTAX.findall(text):
        _require_known_syntax(syntax)
    for reference in _references(text):
        host = _host(reference)
        if host is not None:
            yield host


def _require_known_syntax(reference: str) -> None:
    """Raise _Unclear for a frontend of somebody else's, which may ask for any image."""
    if not _KNOWN_SYNTAX.fullmatch(reference):
        raise _Unclear


def _references(text: str) -> Iterator[str]:
    """Return what follows `FROM`, and the `from` of the options right behind an instruction."""
    instruction = ""
    for word in _SPACE.split(_CONTINUATION.sub("", _COMMENT.sub("", text + "\n"))):
        if instruction and word.startswith("--"):
            if not _PLAIN_FLAG.fullmatch(word):
                raise _Unclear
            yield from _sources(word)
            continue
        if instruction == "FROM":
            yield word
        # Only the end of the word: what seems to continue a line may be the line's end to BuildKit.
        instruction = next(
            (each for each in ("FROM", "COPY", "ADD", "RUN") if word.upper().endswith(each)), ""
        )


def _sources(flag: str) -> Iterator[str]:
    """Return the images or stages of `--from=…` and `--mount=type=bind,from=…`."""
    name, _, value = flag.partition("=")
    if name.lower() == "--from":
        yield value
    elif name.lower() == "--mount":
        options = (option.partition("=") for option in value.split(","))
        yield from (given for key, _, given in options if key.strip().lower() == "from")


def _host(reference: str) -> str | None:
    """Return the host of an image; None for an earlier stage and for an official image, whose host doesn't matter."""
    first, slash, rest = reference.partition("/")
    if not _PLAIN.fullmatch(first):
        raise _Unclear
    if not slash:
        return None
    host = _canonical(registry_of(reference))
    path = rest if registry_of(reference) == first else reference
    is_official = host == PUBLIC and path.startswith("library/")
    return None if is_official else host


def _canonical(host: str) -> str:
    host = host.lower()
    return _ALIASES.get(host, host)
