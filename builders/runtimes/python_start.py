"""What a Python project offers to run: scripts that it declares, and files whose running does something."""

import functools
import re
import shlex
from collections.abc import Mapping

from builders.runtimes.effects import Doing, Effect
from builders.runtimes.python_effects import doing_of, function_doing
from builders.runtimes.python_project import Project
from builders.source import SourceTree
from builders.start import Offers, Option

CONVENTIONAL = tuple(
    f"{name}.py" for name in ["main", "app", "job", "run", "cron", "worker", "bot", "start", "__main__"]
)
NOT_PROGRAMS = frozenset(
    [
        "setup.py",
        "conftest.py",
        "noxfile.py",
        "manage.py",
        "__init__.py",
        "tasks.py",
        "fabfile.py",
        "versioneer.py",
    ]
)
SCRIPT_NAMES = ("job", "main", "start", "cron", "worker")
MOST_LOOKED_AT = 20  # files at the root, for the one that is a program
_TOOLS = re.compile(r"test_|.*_test\.py$|.*_config\.py$|\.")
_SERVING = re.compile(r"(?:.*[-_.])?(?:web|serve|server|runserver|api|release|migrate|migrations)")
_TARGET = re.compile(r"\s*([A-Za-z_][\w.]*)\s*:\s*([A-Za-z_]\w*)\s*(?:\[.*\])?\s*")


def offers_of(tree: SourceTree, project: Project, *, is_installed: bool) -> Offers:
    """Return what there is to run; scripts of a project that is not installed are run by their function."""
    scripts = _scripts(tree, project, is_installed=is_installed)
    declared, note = _declared(tree, project, scripts)
    is_django = "manage.py" in tree.root_files
    return Offers(
        declared=declared,
        conventional=None if is_django else _conventional(tree),
        candidates=[*(_commands(tree) if is_django else ()), *programs(tree)],
        notes=[*note, *(() if is_django else _notes(tree))],
        processes=scripts,
    )


def programs(tree: SourceTree) -> list[str]:
    """Return the files at the root that are not known to be something else."""
    return [name for name in tree.glob("*.py") if name not in NOT_PROGRAMS and not _TOOLS.match(name)]


def _scripts(tree: SourceTree, project: Project, *, is_installed: bool) -> Mapping[str, str]:
    """Return the command of each declared script that can be run, by its name."""
    if is_installed:
        return {name: name for name in project.scripts}
    found = {name: _TARGET.fullmatch(str(target)) for name, target in project.scripts.items()}
    return {
        name: f"python -c {shlex.quote(f'import sys; from {target[1]} import {target[2]}; sys.exit({target[2]}())')}"
        for name, target in found.items()
        if target and _file_of(tree, target[1], ("",))
    }


def _declared(
    tree: SourceTree, project: Project, scripts: Mapping[str, str]
) -> tuple[Option | None, list[str]]:
    """Return the script to run, unless it serves, and a note of one that does."""
    name = next((name for name in (*SCRIPT_NAMES, project.name) if name in scripts), None)
    if len(scripts) == 1:
        name = next(iter(scripts))
    if name is None:
        return None, []
    if _SERVING.fullmatch(name.lower()) or _serves(tree, str(project.scripts[name])):
        return None, [f"The script {name!r} is a server or migrates, by its name or by what it calls"]
    return Option(scripts[name], f"pyproject.toml declares the script {name!r}"), []


def _serves(tree: SourceTree, target: str) -> bool:
    found = _TARGET.fullmatch(target)
    if found is None or not (path := _file_of(tree, found[1], ("", "src/"))):
        return False
    return function_doing(tree.read_beginning(path) or "", found[2]) is Effect.SERVES


def _file_of(tree: SourceTree, module: str, roots: tuple[str, ...]) -> str:
    """Return where a module's source is, or nothing."""
    place = module.replace(".", "/")
    paths = (f"{root}{place}{end}" for root in roots for end in (".py", "/__init__.py"))
    return next(filter(tree.has, paths), "")


def _commands(tree: SourceTree) -> list[str]:
    names = [path.rsplit("/", 1)[-1].removesuffix(".py") for path in tree.glob("**/management/commands/*.py")]
    return [f"python manage.py {name}" for name in names if not name.startswith("_")]


def _conventional(tree: SourceTree) -> Option | None:
    runs = functools.cache(lambda path: _doing(tree, path).effect is Effect.RUNS)
    name = next((name for name in CONVENTIONAL if name in tree.root_files and runs(name)), None)
    if name:
        return Option(f"python {name}", f"{name} is at the root")
    packages = [directory for directory in tree.directories if tree.has(f"{directory}/__main__.py")]
    if len(packages) == 1 and runs(f"{packages[0]}/__main__.py"):
        return Option(f"python -m {packages[0]}", f"{packages[0]}/ is the only package with a __main__.py")
    found = [name for name in programs(tree)[:MOST_LOOKED_AT] if runs(name)]
    if len(found) == 1:
        return Option(f"python {shlex.quote(found[0])}", f"{found[0]} is the only program at the root")
    return None


def _doing(tree: SourceTree, path: str) -> Doing:
    return doing_of(tree.read_beginning(path) or "")


def _notes(tree: SourceTree) -> list[str]:
    """Return what the files do that one would take for the program."""
    names = [name for name in CONVENTIONAL if name in tree.root_files] or programs(tree)[:1]
    return [f"{name} {note}" for name in names if (note := _doing(tree, name).note)]
