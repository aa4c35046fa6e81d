"""Python's package managers: which one a repository uses, and its commands."""

import re
import shlex
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from builders.instructions import Cache
from builders.plan import BuildSettings, PlanError
from builders.runtimes.python_project import Project, table
from builders.source import SourceTree

VENV = "/opt/venv"
MAX_FILES = 100  # of requirements
PIP_CACHE = Cache("pip", "/root/.cache/pip")


@dataclass(frozen=True)
class Manager:
    """How a package manager installs into the active virtual environment.

    `tool` is the pinned package the manager itself comes from (pip is there already); `locked` and `unlocked`
    are the commands for the dependencies alone, `project` the one for the project itself, after its source.
    """

    name: str
    lock: str
    locked: str
    unlocked: str
    project: str = "pip install --no-deps ."
    table: str = ""
    tool: str = ""
    cache: Cache = PIP_CACHE
    env: dict[str, str] = field(default_factory=dict)


UV_ENV = {
    "UV_PROJECT_ENVIRONMENT": VENV,
    "UV_LINK_MODE": "copy",
    "UV_COMPILE_BYTECODE": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}

# In the order of preference when a repository has the locks of several.
MANAGERS = (
    Manager(
        "uv",
        lock="uv.lock",
        table="uv",
        tool="uv==0.13.9",
        locked="uv sync --locked --no-dev --no-install-project",
        unlocked="uv sync --no-dev --no-install-project",
        project="uv sync {frozen}--no-dev --no-editable",
        cache=Cache("uv", "/root/.cache/uv"),
        env=UV_ENV,
    ),
    Manager(
        "poetry",
        lock="poetry.lock",
        table="poetry",
        tool="poetry==2.5.1",
        locked="poetry install --only main --no-root --no-interaction --no-ansi",
        unlocked="poetry install --only main --no-root --no-interaction --no-ansi",
        project="poetry install --only-root --no-interaction --no-ansi",
        cache=Cache("poetry", "/root/.cache/pypoetry"),
    ),
    Manager(
        "pipenv",
        lock="Pipfile.lock",
        tool="pipenv==2026.10.3",
        locked="pipenv install --deploy --ignore-pipfile",
        unlocked="pipenv install --skip-lock",
    ),
)
PIP = Manager("pip", lock="", locked="", unlocked="pip install -r requirements.txt")


@dataclass(frozen=True)
class Installation:
    """What is installed, and when.

    `dependencies` need `files`, or all of the source; `project` is run after the source is there.
    """

    manager: Manager
    source: str
    files: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    needs_source: bool = False

    @property
    def text(self) -> str | None:
        return " && ".join((*self.dependencies, *self.project)) or None


def choose_installation(
    tree: SourceTree, project: Project, settings: BuildSettings
) -> tuple[Installation, tuple[str, ...]]:
    """Choose how the dependencies get in; return that and warnings."""
    manager, source, warnings = _manager(tree, project)
    found = _with_pip(tree, project) if manager is None else _with(manager, source, tree, project)
    if settings.install_command is None:
        return found, warnings
    own = Installation(
        found.manager,
        "the install command of the settings",
        dependencies=(settings.install_command,),
        needs_source=True,
    )
    return own, ()


def _with(manager: Manager, source: str, tree: SourceTree, project: Project) -> Installation:
    locked = manager.lock in tree.root_files
    names = ("pyproject.toml", "Pipfile", manager.lock, "poetry.toml")
    needs_source = _has_local_sources(project)
    own = manager.project.format(frozen="--locked " if locked else "")
    return Installation(
        manager,
        source,
        files=() if needs_source else tuple(name for name in names if name in tree.root_files),
        dependencies=(manager.locked if locked else manager.unlocked,),
        project=(own,) if project.is_package else (),
        needs_source=needs_source,
    )


def _manager(tree: SourceTree, project: Project) -> tuple[Manager | None, str, tuple[str, ...]]:
    locks = [manager for manager in MANAGERS if manager.lock in tree.root_files]
    if locks:
        chosen = next(
            (manager for manager in locks if manager.table and project.tool(manager.table)), locks[0]
        )
        others = [manager.lock for manager in locks if manager is not chosen]
        others += ["requirements.txt"] if "requirements.txt" in tree.root_files else []
        warning = f"{', '.join(others)} left aside: {chosen.lock} is used." if others else ""
        return chosen, f"{chosen.lock} is at the root", (warning,) if warning else ()
    if "requirements.txt" in tree.root_files:
        return None, "", ()
    for manager in MANAGERS:
        if manager.table == "poetry" and project.tool(manager.table):
            return manager, f"pyproject.toml has [tool.{manager.table}]", (_unlocked(manager),)
        if manager.name == "pipenv" and "Pipfile" in tree.root_files:
            return manager, "Pipfile is at the root", (_unlocked(manager),)
    if "pdm.lock" in tree.root_files:
        return None, "", ("pdm.lock is left aside: pip installs what pyproject.toml lists.",)
    return None, "", ()


def _unlocked(manager: Manager) -> str:
    return f"There is no {manager.lock}: each build may install other versions. Commit one."


def _with_pip(tree: SourceTree, project: Project) -> Installation:
    requirements = (
        "requirements.txt" if "requirements.txt" in tree.root_files else requirements_directory(tree)
    )
    if requirements:
        return _with_requirements(requirements, tree, project)
    listed = project.metadata.get("dependencies")
    own = (PIP.project,) if project.is_package else ()
    if "setup.py" in tree.root_files or project.has_dynamic_dependencies:
        return Installation(PIP, "the project installs itself", project=("pip install .",))
    if not isinstance(listed, list) or not listed:
        return Installation(PIP, "pyproject.toml describes the project", project=own)
    return from_list("pyproject.toml lists the dependencies", listed, own)


def from_list(source: str, listed: Iterable[object], project: tuple[str, ...] = ()) -> Installation:
    install = "pip install " + " ".join(shlex.quote(str(requirement)) for requirement in listed)
    return Installation(PIP, source, dependencies=(install,), project=project)


def _with_requirements(path: str, tree: SourceTree, project: Project) -> Installation:
    files, needs_source = _referenced(tree, path)
    return Installation(
        PIP,
        f"{path} lists the dependencies",
        files=() if needs_source else files,
        dependencies=(f"pip install -r {path}",),
        project=(PIP.project,) if project.is_package and project.scripts else (),
        needs_source=needs_source,
    )


def _referenced(tree: SourceTree, path: str) -> tuple[tuple[str, ...], bool]:
    """Return the requirement files reached from `path`, and whether any of them names a directory of the source."""
    found: dict[str, None] = {}
    waiting, is_local = deque([path]), False
    while waiting:
        name = waiting.popleft()
        if name in found:
            continue
        if len(found) == MAX_FILES:
            raise PlanError(f"{path} leads to more than {MAX_FILES} files of requirements.")
        found[name] = None
        for line in (tree.read_text(name) or "").splitlines():
            reference = re.match(r"\s*(?:-r|--requirement|-c|--constraint)[ =]*(\S+)", line)
            if reference and "://" not in reference[1]:
                waiting.append(reference[1].removeprefix("./"))
            is_local = is_local or bool(
                re.match(r"\s*(?:-e\s+|--editable[ =]\s*)?(?:\.|file:)|.*@\s*file:", line)
            )
    return tuple(found), is_local or any("/" in name for name in found)


def requirements_directory(tree: SourceTree) -> str | None:
    names = (
        "requirements/prod.txt",
        "requirements/production.txt",
        "requirements/base.txt",
        "requirements/main.txt",
    )
    return (
        next((name for name in names if tree.has(name)), None) if "requirements" in tree.directories else None
    )


def _has_local_sources(project: Project) -> bool:
    uv = project.tool("uv")
    sources = [source for source in table(uv, "sources").values() if isinstance(source, dict)]
    sources += [
        value for value in table(project.tool("poetry"), "dependencies").values() if isinstance(value, dict)
    ]
    return "workspace" in uv or any("path" in source or "workspace" in source for source in sources)
