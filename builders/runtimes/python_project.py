"""What a Python project says of itself: pyproject.toml, and the release of Python it wants."""

import re
from dataclasses import dataclass, replace
from typing import Any

from builders.manifests import first_line, read_json, read_toml
from builders.plan import PlanError
from builders.runtimes.releases import Known, Language, Release, is_latest, tool_pins
from builders.source import SourceTree
from builders.versions import Constraint, UnreadableVersion, parse_constraint, parse_line

PYTHON = Language(
    "Python",
    "python",
    {
        (3, 7): Known("", "2023-06-27"),
        (3, 8): Known("bookworm", "2024-10-07"),
        (3, 9): Known("trixie", "2025-10-31"),
        (3, 10): Known("trixie", "2026-10-31"),
        (3, 11): Known("trixie", "2027-10-31"),
        (3, 12): Known("trixie", "2028-10-31"),
        (3, 13): Known("trixie", "2029-10-31"),
        (3, 14): Known("trixie", "2030-10-31"),
    },
    default=(3, 13),
)
# What tools write before a version: pyenv and Heroku `python-`, uv also the implementation.
_NAME = re.compile(r"(?:c?python[-@]?|v)(?=[0-9<>=!~^])", re.IGNORECASE)


@dataclass(frozen=True)
class Project:
    """What pyproject.toml says, as far as it matters here; it is empty if there is none."""

    data: dict[str, Any]

    @property
    def metadata(self) -> dict[str, Any]:
        return table(self.data, "project")

    def tool(self, name: str) -> dict[str, Any]:
        return table(table(self.data, "tool"), name)

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or self.tool("poetry").get("name") or "")

    @property
    def scripts(self) -> dict[str, str]:
        return {**table(self.tool("poetry"), "scripts"), **table(self.metadata, "scripts")}

    @property
    def has_dynamic_dependencies(self) -> bool:
        """Return whether only the build backend can say what they are."""
        dynamic = self.metadata.get("dynamic")
        return isinstance(dynamic, list) and "dependencies" in dynamic

    @property
    def is_package(self) -> bool:
        """Return whether the project itself is installed, beside what it depends on."""
        if self.tool("poetry"):
            return self.tool("poetry").get("package-mode") is not False
        return "build-system" in self.data and self.tool("uv").get("package") is not False

    @property
    def is_only_tooling(self) -> bool:
        named = any(self.tool(name) for name in ("poetry", "pdm", "uv"))
        return bool(self.data) and not (self.metadata or named or "build-system" in self.data)


def read_project(tree: SourceTree) -> Project:
    return Project(read_toml(tree, "pyproject.toml"))


def table(data: object, key: str) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def choose_version(tree: SourceTree, project: Project, inline: tuple[str, str] = ("", "")) -> Release:
    """Return the release. Raises PlanError for a pin nothing can satisfy, and for two that contradict each other.

    `inline` is the constraint of the script that runs, and where it is; the project's own comes before it.
    """
    own = _constraint(project)
    text, source = own if own[0] else inline
    pin = next(iter(_pins(tree)), None)
    if pin is None:
        return PYTHON.satisfying(_parse(text, source), text, source) if text else PYTHON.newest()
    release = _pinned(*pin)
    if text and not _parse(text, source).allows_some_of(release.line):
        raise PlanError(f"{pin[0]} asks for Python {pin[1]}, but {source} says {text!r}. Make them agree.")
    return release


def _pinned(source: str, text: str) -> Release:
    if is_latest(text):
        return replace(PYTHON.newest(), source=f"{source} {text!r}")
    line = parse_line(text, 2)
    if line is not None:
        return PYTHON.pinned(text, line, source)
    try:
        return replace(PYTHON.satisfying(parse_constraint(text), text, source), source=source)
    except UnreadableVersion as error:
        raise PlanError(
            f"{source} asks for Python {text!r}, which is not a CPython version such as 3.13."
        ) from error


def _pins(tree: SourceTree) -> list[tuple[str, str]]:
    """Return the files that name one version, the strongest first."""
    pins = [
        (".python-version", first_line(tree, ".python-version")),
        ("runtime.txt", first_line(tree, "runtime.txt")),
        *tool_pins(tree, ("python",)),
        ("Pipfile.lock", _pipfile_lock_version(tree)),
        ("Pipfile", _pipfile_version(tree)),
    ]
    return [(source, _NAME.sub("", text)) for source, text in pins if text]


def _constraint(project: Project) -> tuple[str, str]:
    requires = project.metadata.get("requires-python")
    if isinstance(requires, str):
        return requires, "pyproject.toml requires-python"
    dependency = table(project.tool("poetry"), "dependencies").get("python")
    return (
        (dependency, "pyproject.toml tool.poetry.dependencies.python")
        if isinstance(dependency, str)
        else ("", "")
    )


def _parse(text: str, source: str) -> Constraint:
    try:
        return parse_constraint(text)
    except UnreadableVersion as error:
        raise PlanError(f"{source} {text!r} can't be read as a version constraint.") from error


def _pipfile_lock_version(tree: SourceTree) -> str:
    requires = table(table(read_json(tree, "Pipfile.lock"), "_meta"), "requires")
    return str(requires.get("python_full_version") or requires.get("python_version") or "")


def _pipfile_version(tree: SourceTree) -> str:
    requires = table(read_toml(tree, "Pipfile"), "requires")
    return str(requires.get("python_full_version") or requires.get("python_version") or "")
