"""What a Python project says of itself: pyproject.toml, and the release of Python it wants."""

import re
from dataclasses import dataclass
from typing import Any

from builders.manifests import first_line, read_json, read_toml
from builders.plan import PlanError
from builders.source import SourceTree
from builders.versions import Constraint, Line, UnreadableVersion, dotted, parse_constraint, parse_line, pick

DEFAULT: Line = (3, 13)
# Release line → the Debian release its newest images are made on.
LINES: dict[Line, str] = {
    (3, 8): "bookworm",
    (3, 9): "trixie",
    (3, 10): "trixie",
    (3, 11): "trixie",
    (3, 12): "trixie",
    (3, 13): "trixie",
    (3, 14): "trixie",
}
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


def choose_version(
    tree: SourceTree, project: Project, inline: tuple[str, str] = ("", "")
) -> tuple[Line, str, tuple[str, ...]]:
    """Return the release line, where it comes from, and warnings. Raises PlanError for a pin nothing can satisfy.

    `inline` is the constraint of the script that runs, and where it is; the project's own comes before it.
    """
    own = _constraint(project)
    constraint_text, constraint_source = own if own[0] else inline
    for source, text in _pins(tree):
        line = _pinned(source, text)
        if line is None or line not in LINES:
            raise PlanError(
                f"{source} asks for Python {text}, but base images exist for {_known()}. "
                "Add a Dockerfile to use it."
            )
        if constraint_text and not _parse(constraint_text, constraint_source).allows_some_of(line):
            raise PlanError(
                f"{source} asks for Python {text}, but {constraint_source} says {constraint_text!r}. "
                "Make them agree."
            )
        exact = text.count(".") > 1
        warning = f"{source} pins {text}; the image has the newest release of {dotted(line)}."
        return line, source, (warning,) if exact else ()
    if not constraint_text:
        return DEFAULT, "the default, as nothing asks for another", ()
    picked = pick(_parse(constraint_text, constraint_source), tuple(LINES), DEFAULT)
    if picked is None:
        raise PlanError(
            f"{constraint_source} asks for Python {constraint_text!r}, but base images exist for {_known()}."
        )
    return picked, f"{constraint_source} {constraint_text!r}", ()


def _pinned(source: str, text: str) -> Line | None:
    """Return the release line that a pin names, or picks where it allows several; None if it allows none of ours."""
    line = parse_line(text, 2)
    if line is not None:
        return line
    try:
        return pick(parse_constraint(text), tuple(LINES), DEFAULT)
    except UnreadableVersion as error:
        raise PlanError(
            f"{source} asks for Python {text!r}, which is not a CPython version such as 3.13."
        ) from error


def _pins(tree: SourceTree) -> list[tuple[str, str]]:
    """Return the files that name one version, the strongest first."""
    pins = [
        (".python-version", first_line(tree, ".python-version")),
        ("runtime.txt", first_line(tree, "runtime.txt")),
        (".tool-versions", _tool_version(tree)),
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


def _known() -> str:
    return ", ".join(dotted(line) for line in LINES)


def _tool_version(tree: SourceTree) -> str:
    match = re.search(r"^python[ \t]+(\S+)", tree.read_head(".tool-versions") or "", re.MULTILINE)
    return match[1] if match else ""


def _pipfile_lock_version(tree: SourceTree) -> str:
    requires = table(table(read_json(tree, "Pipfile.lock"), "_meta"), "requires")
    return str(requires.get("python_full_version") or requires.get("python_version") or "")


def _pipfile_version(tree: SourceTree) -> str:
    requires = table(read_toml(tree, "Pipfile"), "requires")
    return str(requires.get("python_full_version") or requires.get("python_version") or "")
