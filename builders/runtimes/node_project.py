"""What a Node.js project says of itself: package.json, and the release of Node.js it wants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.manifests import first_line, read_json
from builders.plan import PlanError
from builders.source import SourceTree
from builders.versions import Constraint, Line, UnreadableVersion, dotted, parse_constraint, pick

DEFAULT: Line = (24,)
# Release line → the Debian release its newest images are made on.
LINES: dict[Line, str] = {
    (16,): "bookworm",
    (18,): "bookworm",
    (20,): "trixie",
    (22,): "trixie",
    (24,): "trixie",
}
CODENAMES = {"gallium": "16", "hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24"}
ANY_LTS = frozenset({"lts/*", "lts/-0", "lts", "node", "stable", "latest", "current", "system"})

SCRIPTS = ("job", "cron", "worker", "start")


@dataclass(frozen=True)
class Package:
    """What package.json says; it is empty if there is none."""

    data: Mapping[str, Any]

    def table(self, key: str) -> dict[str, Any]:
        value = self.data.get(key)
        return value if isinstance(value, dict) else {}

    @property
    def scripts(self) -> dict[str, str]:
        return {name: text for name, text in self.table("scripts").items() if isinstance(text, str)}

    @property
    def has_dependencies(self) -> bool:
        return any(self.table(f"{kind}ependencies") for kind in ("d", "devD", "optionalD", "peerD"))

    @property
    def is_only_tooling(self) -> bool:
        """Return whether it only carries development tools for another language's project."""
        runs = any(name in self.scripts for name in (*SCRIPTS, "build", "serve"))
        return not (
            self.table("dependencies") or self.bins or runs or {"main", "workspaces"} & self.data.keys()
        )

    @property
    def bins(self) -> dict[str, str]:
        bin_ = self.data.get("bin")
        named = {str(self.data.get("name", "bin")): bin_} if isinstance(bin_, str) else self.table("bin")
        return {name: path for name, path in named.items() if isinstance(path, str)}


def read_package(tree: SourceTree) -> Package:
    """Read package.json. Raises PlanError if it isn't JSON."""
    data = read_json(tree, "package.json")
    return Package(data if isinstance(data, dict) else {})


def choose_version(tree: SourceTree, package: Package) -> tuple[Line, str, tuple[str, ...]]:
    """Return the release line, where it comes from, and warnings. Raises PlanError if there is no such image."""
    asked = [(source, text) for source, text in _version_sources(tree, package) if text]
    if not asked:
        return DEFAULT, "the default, as nothing asks for another", ()
    source, text = asked[0]
    picked = _resolve(source, text)
    disagreeing = [
        f"{other} asks for {wanted}; {source} decides."
        for other, wanted in asked[1:]
        if not _satisfies(other, wanted, picked)
    ]
    return picked, f"{source} {text!r}", tuple(disagreeing)


def _version_sources(tree: SourceTree, package: Package) -> list[tuple[str, str]]:
    development = package.table("devEngines").get("runtime")
    runtime = development if isinstance(development, dict) and development.get("name") == "node" else {}
    tools = re.search(r"^node(?:js)?[ \t]+(\S+)", tree.read_head(".tool-versions") or "", re.MULTILINE)
    return [
        ("package.json engines.node", str(package.table("engines").get("node") or "")),
        ("package.json volta.node", str(package.table("volta").get("node") or "")),
        ("package.json devEngines.runtime", str(runtime.get("version") or "")),
        (".nvmrc", first_line(tree, ".nvmrc")),
        (".node-version", first_line(tree, ".node-version")),
        (".tool-versions", tools[1] if tools else ""),
    ]


def _resolve(source: str, text: str) -> Line:
    picked = pick(_parse(source, text), tuple(LINES), DEFAULT) if text not in ANY_LTS else DEFAULT
    if picked is None:
        known = ", ".join(dotted(line) for line in LINES)
        raise PlanError(
            f"{source} asks for Node.js {text!r}, but base images exist for {known}. "
            "Add a Dockerfile to use it."
        )
    return picked


def _parse(source: str, text: str) -> Constraint:
    codename = text.lower().removeprefix("lts/")
    try:
        return parse_constraint(CODENAMES.get(codename, text))
    except UnreadableVersion as error:
        raise PlanError(f"{source} {text!r} can't be read as a version of Node.js.") from error


def _satisfies(source: str, text: str, line: Line) -> bool:
    return text in ANY_LTS or _parse(source, text).allows_some_of(line)
