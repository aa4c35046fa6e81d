"""The release of a language that a base image is made for: a line and its newest patch, or exactly what is pinned."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from builders.manifests import read_toml
from builders.plan import PlanError
from builders.source import SourceTree
from builders.versions import Constraint, Line, UnreadableVersion, dotted, parse_constraint, parse_line, pick

REVIEWED = "2026-11-30"  # when what is known of releases was last brought up to date
MISE_FILES = ("mise.toml", ".mise.toml", "mise/config.toml", ".mise/config.toml", ".config/mise.toml")
_LATEST = frozenset({"latest", "stable", "lts", "current", "system"})


@dataclass(frozen=True)
class Known:
    """`debian` is what the line's newest images are made on; empty where only the plain tag is sure to be there.
    `ends` is the day of its last security fix.
    """

    debian: str
    ends: str


@dataclass(frozen=True)
class Release:
    """`text` is `3.13`, or `3.12.4` where exactly that is asked for; `source` says who asks."""

    line: Line
    text: str
    source: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Language:
    """What is known of a language's releases. `image` is the name of its base image, `debian` what new ones are on."""

    name: str
    image: str
    lines: Mapping[Line, Known]
    default: Line
    debian: str = "trixie"

    def pinned(self, text: str, line: Line, source: str) -> Release:
        """Return the release of a plain version. Raises PlanError for a line that is older than all known ones."""
        if line < min(self.lines):
            raise self.unknown(source, text)
        is_exact = re.fullmatch(r"v?\d+\.\d+\.\d+", text) is not None
        return Release(
            line, text.removeprefix("v") if is_exact else dotted(line), source, self._warnings(line, source)
        )

    def satisfying(self, constraint: Constraint, text: str, source: str) -> Release:
        """Return the default line if the constraint allows it, else the newest known that it does, else a newer one.

        Raises PlanError where there is none of them.
        """
        line = pick(constraint, tuple(self.lines), self.default) or self._newer(constraint)
        if line is None:
            raise self.unknown(source, text)
        return Release(line, dotted(line), f"{source} {text!r}", self._warnings(line, source))

    def chosen(self, pins: Sequence[tuple[str, str]], text: str, source: str) -> Release:
        """Return the release of the first pin, else one that the constraint `text` of `source` allows, or the default.

        `pins` are files with what they say. Raises PlanError for what nothing can satisfy, and for a pin that the
        constraint does not allow.
        """
        if not pins:
            return self.named(text, source) if text else self.newest()
        file, pinned = pins[0]
        release = self.named(pinned, file)
        if text and not self._constraint(text, source).allows_some_of(release.line):
            raise PlanError(
                f"{file} asks for {self.name} {pinned}, but {source} says {text!r}. Make them agree."
            )
        return release

    def named(self, text: str, source: str) -> Release:
        """Return the release of a plain version or a constraint. Raises PlanError."""
        line = parse_line(text, len(self.default))
        if line is not None:
            return self.pinned(text, line, source)
        return self.satisfying(self._constraint(text, source), text, source)

    def _constraint(self, text: str, source: str) -> Constraint:
        try:
            return parse_constraint(text)
        except UnreadableVersion as error:
            raise PlanError(
                f"{source} asks for {self.name} {text!r}, which is not a version such as {dotted(self.default)}."
            ) from error

    def newest(self) -> Release:
        return Release(self.default, dotted(self.default), "the default, as nothing asks for another")

    def tag(self, release: Release) -> str:
        """Return the base image's reference: on a given Debian where the line's images are known to be on it."""
        known = self.lines.get(release.line, Known(self.debian, ""))
        is_exact = release.text != dotted(release.line)
        on = "-slim" if is_exact or not known.debian else self._on(known.debian)
        return f"{self.image}:{release.text}{on}"

    def unknown(self, source: str, text: str) -> PlanError:
        listed = ", ".join(map(dotted, self.lines))
        return PlanError(
            f"{source} asks for {self.name} {text!r}, but base images exist for {listed} and newer. "
            "Add a Dockerfile to use it."
        )

    def _on(self, debian: str) -> str:
        return f"-{debian}-slim" if self.image == "node" else f"-slim-{debian}"

    def _newer(self, constraint: Constraint) -> Line | None:
        """Return the first line behind the known ones that a constraint asks for."""
        newest = max(self.lines)
        candidates = [(*newest[:-1], newest[-1] + step) for step in range(1, 50)]
        return next((line for line in candidates if constraint.allows_some_of(line)), None)

    def _warnings(self, line: Line, source: str) -> tuple[str, ...]:
        known = self.lines.get(line)
        if known is None:
            return (
                f"{self.name} {dotted(line)} ({source}) is newer than what is known here: its image is tried.",
            )
        if known.ends and known.ends < REVIEWED:
            return (
                f"{self.name} {dotted(line)} has had no security fixes since {known.ends}: move to a newer one.",
            )
        return ()


def is_latest(text: str) -> bool:
    return text.lower() in _LATEST


def tool_pins(tree: SourceTree, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return what the files of version managers (asdf, mise) say of a tool, with their names, the first version of
    several.
    """
    found = []
    words = "|".join(map(re.escape, names))
    listed = re.search(rf"^(?:{words})[ \t]+([^\s#]+)", tree.read_head(".tool-versions") or "", re.MULTILINE)
    if listed:
        found.append((".tool-versions", listed[1]))
    for path in MISE_FILES:
        text = _mise_version(tree, path, names)
        if text:
            found.append((path, text))
    return found


def _mise_version(tree: SourceTree, path: str, names: Sequence[str]) -> str:
    tools = read_toml(tree, path).get("tools") if tree.has(path) else None
    value = next((tools[name] for name in names if name in tools), None) if isinstance(tools, dict) else None
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("version")
    return str(value).strip() if isinstance(value, str | int | float) else ""
