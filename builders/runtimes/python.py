"""Python: pip, uv, Poetry, PDM and Pipenv; virtual environment built in one stage, used in the next."""

import json
import re
import shlex
import tomllib
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from builders import layout
from builders.instructions import Cache, Copy, Env, Instruction, Run, Stage, Workdir
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.runtimes.base import WORKDIR, Evidence, Runtime, Strength, first_marker
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start
from builders.versions import Line, UnreadableVersion, dotted, parse_constraint, parse_line, pick

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
VENV = "/opt/venv"
PIP_CACHE = Cache("pip", "/root/.cache/pip")

MANIFESTS = [
    "pyproject.toml",
    "requirements.txt",
    "Pipfile",
    "Pipfile.lock",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "setup.py",
    "manage.py",
    "environment.yml",
]
CONVENTIONAL = tuple(
    f"{name}.py" for name in ["main", "app", "job", "run", "cron", "worker", "bot", "start", "__main__"]
)
NOT_PROGRAMS = frozenset(
    {"setup.py", "conftest.py", "noxfile.py", "manage.py", "__init__.py", "tasks.py", "fabfile.py"}
)
SCRIPT_NAMES = ("job", "main", "start", "cron", "worker")


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
        "pdm",
        lock="pdm.lock",
        table="pdm",
        tool="pdm==2.29.4",
        locked="pdm sync --prod --no-self",
        unlocked="pdm install --prod --no-self",
        cache=Cache("pdm", "/root/.cache/pdm"),
        env={"PDM_CHECK_UPDATE": "0"},
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
class Project:
    """pyproject.toml as far as it matters here; empty if there is none."""

    data: dict[str, Any]

    @property
    def metadata(self) -> dict[str, Any]:
        return _table(self.data, "project")

    def tool(self, name: str) -> dict[str, Any]:
        return _table(_table(self.data, "tool"), name)

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or self.tool("poetry").get("name") or "")

    @property
    def scripts(self) -> dict[str, str]:
        return {**_table(self.tool("poetry"), "scripts"), **_table(self.metadata, "scripts")}

    @property
    def is_package(self) -> bool:
        """Whether the project itself is installed, beside what it depends on."""
        if self.tool("poetry"):
            return self.tool("poetry").get("package-mode") is not False
        return "build-system" in self.data and self.tool("uv").get("package") is not False

    @property
    def is_only_tooling(self) -> bool:
        named = any(self.tool(name) for name in ("poetry", "pdm", "uv"))
        return bool(self.data) and not (self.metadata or named or "build-system" in self.data)


@dataclass(frozen=True)
class Installation:
    """`dependencies` run with only `files` copied (all of the source if empty), `project` after the source."""

    manager: Manager
    source: str
    files: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    project: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        return " && ".join((*self.dependencies, *self.project)) or None


def evidence(tree: SourceTree) -> Evidence | None:
    manifests = tuple(
        name for name in MANIFESTS if name != "pyproject.toml" or not _project(tree).is_only_tooling
    )
    if _requirements_directory(tree):
        return Evidence(Strength.MANIFEST, "requirements/")
    return (
        first_marker(tree, manifests, Strength.MANIFEST)
        or first_marker(tree, (*CONVENTIONAL, ".python-version", "pyproject.toml"), Strength.SECONDARY)
        or first_marker(tree, tuple(_programs(tree)), Strength.LOOSE_FILE)
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    project = _project(tree)
    line, version_source, version_warnings = choose_version(tree, project)
    installation, install_warnings = _installation(tree, project, settings)
    start = choose_start(tree, settings, _offers(tree, project, installation))
    manager = installation.manager.name if installation.text else None
    image = f"python:{dotted(line)}-slim-{LINES[line]}"
    return BuildPlan(
        runtime="python",
        version=dotted(line),
        version_source=version_source,
        package_manager=manager,
        install_command=installation.text,
        build_command=settings.build_command,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Python {dotted(line)}: {version_source}.",
            f"Installs with {manager}: {installation.source}."
            if manager
            else "Installs nothing: no dependencies are declared.",
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(*version_warnings, *install_warnings, *start.warnings),
        stages=_stages(tree, image, installation, settings.build_command),
    )


def _stages(tree: SourceTree, image: str, installation: Installation, build: str | None) -> tuple[Stage, ...]:
    system = layout.system_packages(tree)
    runtime_env = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "HOME": layout.HOME}
    if not installation.text and not build:
        return (Stage(image, (*system, Env(runtime_env), layout.source_from_context(), Workdir(WORKDIR))),)
    manager = installation.manager
    run = partial(Run, caches=(manager.cache,))
    steps: list[Instruction] = [*system, Workdir(WORKDIR)]
    steps += [Run((f"python -m venv {VENV}",), phase="system")]
    if manager.tool:
        home = f"/opt/{manager.name}"
        install_tool = (f"python -m venv {home}", f"{home}/bin/pip install {manager.tool}")
        steps += [Run(install_tool, caches=(PIP_CACHE,), why=f"{manager.name} apart from what it installs.")]
        steps += [Env({"VIRTUAL_ENV": VENV, "PATH": f"{VENV}/bin:{home}/bin:$PATH", **manager.env})]
    else:
        steps += [
            Env({"VIRTUAL_ENV": VENV, "PATH": f"{VENV}/bin:$PATH", "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        ]
    early = bool(installation.dependencies and not _copies_all(installation))
    if early:
        if installation.files:
            steps += [
                Copy(installation.files, "./", why="What names the dependencies, first: they change seldom.")
            ]
        steps += [run(installation.dependencies)]
    late = (() if early else installation.dependencies) + installation.project
    if late or build:
        steps += [Copy((".",), "./")]
        steps += [run(late)] if late else []
        steps += [Run((build,), phase="build")] if build else []
    final: list[Instruction] = [
        *system,
        Env({"VIRTUAL_ENV": VENV, "PATH": f"{VENV}/bin:$PATH", **runtime_env}),
    ]
    final += [Copy((VENV,), VENV, stage="build")]
    final += [layout.source_from_build() if build else layout.source_from_context(), Workdir(WORKDIR)]
    return Stage(image, tuple(steps), "build"), Stage(image, tuple(final))


# --- version


def choose_version(tree: SourceTree, project: Project) -> tuple[Line, str, tuple[str, ...]]:
    """The release line, where it comes from, and warnings. Raises PlanError for a pin nothing can satisfy."""
    constraint_text, constraint_source = _constraint(project)
    for source, text in _pins(tree):
        line = parse_line(text, 2)
        if line is None:
            raise PlanError(
                f"{source} asks for Python {text!r}, which is not a CPython version such as 3.13."
            )
        if line not in LINES:
            raise PlanError(
                f"{source} asks for Python {text}, but base images exist for {_known()}. Add a Dockerfile to use it."
            )
        if constraint_text and not _parse(constraint_text, constraint_source).allows_some_of(line):
            raise PlanError(
                f"{source} asks for Python {text}, but {constraint_source} says {constraint_text!r}. Make them agree."
            )
        exact = text.count(".") > 1
        warning = f"{source} pins {text}; the image has the newest release of {dotted(line)}."
        return line, f"{source}", (warning,) if exact else ()
    if not constraint_text:
        return DEFAULT, "the default, as nothing asks for another", ()
    picked = pick(_parse(constraint_text, constraint_source), tuple(LINES), DEFAULT)
    if picked is None:
        raise PlanError(
            f"{constraint_source} asks for Python {constraint_text!r}, but base images exist for {_known()}."
        )
    return picked, f"{constraint_source} {constraint_text!r}", ()


def _pins(tree: SourceTree) -> list[tuple[str, str]]:
    """Files that name one version, the strongest first."""
    pins = [
        (".python-version", _first_line(tree, ".python-version")),
        ("runtime.txt", _first_line(tree, "runtime.txt")),
        (".tool-versions", _tool_version(tree)),
        ("Pipfile.lock", _pipfile_lock_version(tree)),
        ("Pipfile", _pipfile_version(tree)),
    ]
    return [(source, re.sub(r"^(python-|v)", "", text)) for source, text in pins if text]


def _constraint(project: Project) -> tuple[str, str]:
    requires = project.metadata.get("requires-python")
    if isinstance(requires, str):
        return requires, "pyproject.toml requires-python"
    dependency = _table(project.tool("poetry"), "dependencies").get("python")
    return (
        (dependency, "pyproject.toml tool.poetry.dependencies.python")
        if isinstance(dependency, str)
        else ("", "")
    )


def _parse(text: str, source: str) -> Any:
    try:
        return parse_constraint(text)
    except UnreadableVersion as error:
        raise PlanError(f"{source} {text!r} can't be read as a version constraint.") from error


def _known() -> str:
    return ", ".join(dotted(line) for line in LINES)


def _first_line(tree: SourceTree, path: str) -> str:
    lines = (line.partition("#")[0].strip() for line in (tree.read_head(path) or "").splitlines())
    return next((line for line in lines if line), "")


def _tool_version(tree: SourceTree) -> str:
    match = re.search(r"^python[ \t]+(\S+)", tree.read_head(".tool-versions") or "", re.MULTILINE)
    return match[1] if match else ""


def _pipfile_lock_version(tree: SourceTree) -> str:
    try:
        meta = _table(json.loads(tree.read_text("Pipfile.lock") or "{}"), "_meta")
    except ValueError as error:
        raise PlanError(f"Pipfile.lock is not JSON: {error}.") from error
    requires = _table(meta, "requires")
    return str(requires.get("python_full_version") or requires.get("python_version") or "")


def _pipfile_version(tree: SourceTree) -> str:
    requires = _table(_toml(tree, "Pipfile"), "requires")
    return str(requires.get("python_full_version") or requires.get("python_version") or "")


# --- packages


def _installation(
    tree: SourceTree, project: Project, settings: BuildSettings
) -> tuple[Installation, tuple[str, ...]]:
    if settings.install_command is not None:
        return Installation(
            PIP, "the install command of the settings", (".",), (settings.install_command,)
        ), ()
    manager, source, warnings = _manager(tree, project)
    if manager is None:
        return _with_pip(tree, project), warnings
    locked = manager.lock in tree.root_files
    files = tuple(
        name for name in ("pyproject.toml", "Pipfile", manager.lock, "poetry.toml") if name in tree.root_files
    )
    own = (manager.project.format(frozen="--locked " if locked else ""),) if project.is_package else ()
    return Installation(
        manager,
        source,
        (".",) if _has_local_sources(project) else files,
        (manager.locked if locked else manager.unlocked,),
        own,
    ), warnings


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
        if manager.table in ("poetry", "pdm") and project.tool(manager.table):
            return manager, f"pyproject.toml has [tool.{manager.table}]", (_unlocked(manager),)
        if manager.name == "pipenv" and "Pipfile" in tree.root_files:
            return manager, "Pipfile is at the root", (_unlocked(manager),)
    return None, "", ()


def _unlocked(manager: Manager) -> str:
    return f"There is no {manager.lock}: each build may install other versions. Commit one."


def _with_pip(tree: SourceTree, project: Project) -> Installation:
    requirements = (
        "requirements.txt" if "requirements.txt" in tree.root_files else _requirements_directory(tree)
    )
    if requirements:
        files, is_local = _referenced(tree, requirements)
        own = (PIP.project,) if project.is_package and project.scripts else ()
        files = (".",) if is_local or "/" in requirements else files
        return Installation(
            PIP, f"{requirements} lists the dependencies", files, (f"pip install -r {requirements}",), own
        )
    listed = project.metadata.get("dependencies", [])
    if "setup.py" in tree.root_files or "dependencies" in project.metadata.get("dynamic", []):
        return Installation(PIP, "the project installs itself", (".",), ("pip install .",))
    own = (PIP.project,) if project.is_package else ()
    if not isinstance(listed, list) or not listed:
        return Installation(PIP, "pyproject.toml describes the project", (), (), own)
    install = "pip install " + " ".join(shlex.quote(str(requirement)) for requirement in listed)
    return Installation(PIP, "pyproject.toml lists the dependencies", (), (install,), own)


def _referenced(tree: SourceTree, path: str) -> tuple[tuple[str, ...], bool]:
    """The requirement files reached from `path`, and whether any of them names a directory of the source."""
    found, waiting, is_local = [], [path], False
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found.append(name)
        for line in (tree.read_text(name) or "").splitlines():
            reference = re.match(r"\s*(?:-r|--requirement|-c|--constraint)[ =]*(\S+)", line)
            if reference and "://" not in reference[1]:
                waiting.append(reference[1].removeprefix("./"))
            is_local = is_local or bool(
                re.match(r"\s*(?:-e\s+|--editable[ =]\s*)?(?:\.|file:)|.*@\s*file:", line)
            )
    return tuple(found), is_local or any("/" in name for name in found)


def _requirements_directory(tree: SourceTree) -> str | None:
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
    sources = [source for source in _table(uv, "sources").values() if isinstance(source, dict)]
    sources += [
        value for value in _table(project.tool("poetry"), "dependencies").values() if isinstance(value, dict)
    ]
    return "workspace" in uv or any("path" in source or "workspace" in source for source in sources)


def _copies_all(installation: Installation) -> bool:
    return installation.files == (".",)


# --- start


def _offers(tree: SourceTree, project: Project, installation: Installation) -> Offers:
    installed = installation.project or installation.dependencies == ("pip install .",)
    scripts = {name: name for name in project.scripts} if installed else {}
    wanted = next((name for name in (*SCRIPT_NAMES, project.name) if name in scripts), None)
    if len(scripts) == 1:
        wanted = next(iter(scripts))
    django = "manage.py" in tree.root_files
    commands = (
        [path.rsplit("/", 1)[-1].removesuffix(".py") for path in tree.glob("**/management/commands/*.py")]
        if django
        else []
    )
    return Offers(
        declared=Option(wanted, f"pyproject.toml declares the script {wanted!r}") if wanted else None,
        conventional=None if django else _conventional(tree),
        candidates=[f"python manage.py {name}" for name in commands if not name.startswith("_")]
        + _programs(tree),
        processes=scripts,
    )


def _conventional(tree: SourceTree) -> Option | None:
    name = next((name for name in CONVENTIONAL if name in tree.root_files), None)
    if name:
        return Option(f"python {name}", f"{name} is at the root")
    packages = [directory for directory in tree.directories if tree.has(f"{directory}/__main__.py")]
    if len(packages) == 1:
        return Option(f"python -m {packages[0]}", f"{packages[0]}/ is the only package with a __main__.py")
    programs = _programs(tree)
    if len(programs) == 1:
        return Option(f"python {shlex.quote(programs[0])}", f"{programs[0]} is the only program at the root")
    guarded = [name for name in programs if _is_program(tree.read_text(name) or "")]
    if len(guarded) == 1:
        return Option(
            f"python {shlex.quote(guarded[0])}",
            f"{guarded[0]} is the only file at the root that runs as a program",
        )
    return None


def _programs(tree: SourceTree) -> list[str]:
    names = tree.glob("*.py")
    return [name for name in names if name not in NOT_PROGRAMS and not re.match(r"test_|.*_test\.py$", name)]


def _is_program(text: str) -> bool:
    return text.startswith("#!") or bool(re.search(r"^if __name__ == ['\"]__main__['\"]", text, re.MULTILINE))


# --- reading


def _project(tree: SourceTree) -> Project:
    return Project(_toml(tree, "pyproject.toml"))


def _toml(tree: SourceTree, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(tree.read_text(path) or "")
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{path} is not TOML: {error}.") from error


def _table(data: object, key: str) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


RUNTIME = Runtime(
    "python",
    "Python",
    evidence,
    plan,
    frozenset(
        [
            "python",
            "python3",
            "pip",
            "uv",
            "poetry",
            "pdm",
            "pipenv",
            "gunicorn",
            "uvicorn",
            "celery",
            "flask",
            "django-admin",
        ]
    ),
)
