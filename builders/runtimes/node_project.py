"""What a Node.js project says of itself: package.json, and the release of Node.js it wants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from builders.manifests import first_line, read_json
from builders.plan import PlanError
from builders.runtimes.releases import Known, Language, Release, tool_pins
from builders.source import SourceTree
from builders.versions import Constraint, Line, UnreadableVersion, parse_constraint, parse_line

NODE = Language(
    "Node.js",
    "node",
    {
        (14,): Known("", "2023-04-30"),
        (16,): Known("bookworm", "2023-09-11"),
        (17,): Known("", "2022-06-01"),
        (18,): Known("bookworm", "2025-04-30"),
        (19,): Known("", "2023-06-01"),
        (20,): Known("trixie", "2026-04-30"),
        (21,): Known("", "2024-06-01"),
        (22,): Known("trixie", "2027-04-30"),
        (23,): Known("", "2025-06-01"),
        (24,): Known("trixie", "2028-04-30"),
        (25,): Known("trixie", "2026-06-01"),
        (26,): Known("trixie", "2029-04-30"),
    },
    default=(24,),
)
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


def choose_version(tree: SourceTree, package: Package) -> Release:
    """Return the release, with a warning of each file that asks for another. Raises PlanError if there is no image."""
    asked = [(source, text) for source, text in _version_sources(tree, package) if text]
    if not asked:
        return NODE.newest()
    source, text = asked[0]
    release = _resolve(source, text)
    disagreeing = [
        f"{other} asks for {wanted}; {source} decides."
        for other, wanted in asked[1:]
        if not _satisfies(other, wanted, release.line)
    ]
    return replace(release, warnings=(*disagreeing, *release.warnings))


def _version_sources(tree: SourceTree, package: Package) -> list[tuple[str, str]]:
    development = package.table("devEngines").get("runtime")
    runtime = development if isinstance(development, dict) and development.get("name") == "node" else {}
    return [
        ("package.json engines.node", str(package.table("engines").get("node") or "").strip()),
        ("package.json volta.node", str(package.table("volta").get("node") or "").strip()),
        ("package.json devEngines.runtime", str(runtime.get("version") or "").strip()),
        (".nvmrc", first_line(tree, ".nvmrc")),
        (".node-version", first_line(tree, ".node-version")),
        *tool_pins(tree, ("nodejs", "node")),
    ]


def _resolve(source: str, text: str) -> Release:
    if text in ANY_LTS:
        return replace(NODE.newest(), source=f"{source} {text!r}")
    constraint = _parse(source, text)
    if re.fullmatch(r"v?\d{1,9}\.\d{1,9}\.\d{1,9}", text) and (line := parse_line(text, 1)):
        return NODE.pinned(text, line, f"{source} {text!r}")
    return NODE.satisfying(constraint, text, source)


def _parse(source: str, text: str) -> Constraint:
    codename = text.lower().removeprefix("lts/")
    try:
        return parse_constraint(CODENAMES.get(codename, text))
    except UnreadableVersion as error:
        raise PlanError(f"{source} {text!r} can't be read as a version of Node.js.") from error


def _satisfies(source: str, text: str, line: Line) -> bool:
    return text in ANY_LTS or _parse(source, text).allows_some_of(line)
