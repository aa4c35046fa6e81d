"""Python: a virtual environment made in one stage, used in the next."""

import re
from collections.abc import Iterable

from builders import layout
from builders.instructions import Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.python_inline import inline_of, lists_left_aside
from builders.runtimes.python_packages import (
    PIP_CACHE,
    VENV,
    Installation,
    Manager,
    choose_installation,
    from_list,
    requirements_directory,
)
from builders.runtimes.python_project import PYTHON, choose_version, read_project
from builders.runtimes.python_start import CONVENTIONAL, offers_of, programs
from builders.runtimes.python_system import SystemPackages, system_packages_of
from builders.source import SourceTree
from builders.start import choose_start
from builders.versions import dotted

MANIFESTS = (
    "pyproject.toml",
    "requirements.txt",
    "Pipfile",
    "Pipfile.lock",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "setup.py",
    "manage.py",
)


def evidence(tree: SourceTree) -> Evidence | None:
    manifests = tuple(
        name for name in MANIFESTS if name != "pyproject.toml" or not read_project(tree).is_only_tooling
    )
    if requirements_directory(tree):
        return Evidence(Strength.MANIFEST, "requirements/")
    return (
        first_marker(tree, manifests, Strength.MANIFEST)
        or first_marker(tree, (*CONVENTIONAL, ".python-version", "pyproject.toml"), Strength.SECONDARY)
        or first_marker(tree, tuple(programs(tree)), Strength.LOOSE_FILE)
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    project = read_project(tree)
    release = choose_version(tree, project)
    installation, install_warnings = choose_installation(tree, project, settings)
    start = choose_start(tree, settings, offers_of(tree, project, is_installed=bool(installation.project)))
    inline = inline_of(tree, start.argv)
    if inline.requires_python:
        release = choose_version(tree, project, inline.constraint)
    if not installation.text and inline.dependencies:
        installation = from_list(f"{inline.path} lists the dependencies", inline.dependencies)
    elif inline.dependencies:
        install_warnings += (f"What {inline.path} lists in its block '# /// script' is left aside.",)
    if not installation.text:
        install_warnings += lists_left_aside(tree, project)
    needed = system_packages_of(tree, project, installation)
    building = (installation.text or "", settings.build_command or "")
    keeps_pip = _asks_for_pip(building, (start.text or "", *start.processes.values()))
    manager = installation.manager.name if installation.text else None
    return BuildPlan(
        runtime="python",
        version=release.text,
        version_source=release.source,
        package_manager=manager,
        install_command=installation.text,
        build_command=settings.build_command,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Python {release.text}: {release.source}.",
            f"Installs with {manager}: {installation.source}."
            if manager
            else "Installs nothing: no dependencies are declared.",
            *layout.system_reasons(tree),
            *needed.reasons,
            start.reason,
        ),
        warnings=(*release.warnings, *install_warnings, *start.warnings),
        stages=_stages(
            tree, PYTHON.tag(release), installation, settings.build_command, needed, keeps_pip=keeps_pip
        ),
    )


def _asks_for_pip(building: Iterable[str], running: Iterable[str]) -> bool:
    """Return whether commands need pip or setuptools in the environment itself, as by `python -m pip`."""
    as_module = any(re.search(r"-m\s+pip\b|\bsetup\.py\b", command) for command in building)
    return as_module or any(re.search(r"\bpip\d?\b|\bsetup\.py\b", command) for command in running)


def _stages(
    tree: SourceTree,
    image: str,
    installation: Installation,
    build: str | None,
    needed: SystemPackages,
    *,
    keeps_pip: bool,
) -> tuple[Stage, ...]:
    building = layout.system_packages(tree, (*needed.build, *needed.run))
    system = layout.system_packages(tree, needed.run)
    environment = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "HOME": layout.HOME}
    if not installation.text and not build:
        return (Stage(image, (*system, Env(environment), layout.source_from_context(), Workdir(WORKDIR))),)
    first = (*building, Workdir(WORKDIR), *_empty_environment(installation.manager, keeps_pip=keeps_pip))
    final = (
        *system,
        Env({"VIRTUAL_ENV": VENV, "PATH": f"{VENV}/bin:$PATH", **environment}),
        Copy((VENV,), VENV, stage="build"),
        layout.source_from_build() if build else layout.source_from_context(),
        Workdir(WORKDIR),
    )
    return Stage(image, (*first, *_filled(installation, build)), "build"), Stage(image, final)


def _empty_environment(manager: Manager, *, keeps_pip: bool) -> tuple[Instruction, ...]:
    """Return the steps that make the virtual environment, and beside it the tool that fills it.

    The environment becomes part of the image, the tool doesn't: any pip that is called by its name installs into the
    former.
    """
    bare = "" if keeps_pip else "--without-pip "
    home = f"/opt/{manager.name}"
    install = (f"{home}/bin/pip install {manager.tool}",) if manager.tool else ()
    return (
        Run((f"python -m venv {bare}{VENV}",), phase="system"),
        Run(
            (f"python -m venv {home}", *install),
            phase="install" if install else "system",
            caches=(PIP_CACHE,) if install else (),
            why=f"{manager.name}, apart from what it installs.",
        ),
        Env(
            {
                "VIRTUAL_ENV": VENV,
                "PATH": f"{VENV}/bin:{home}/bin:$PATH",
                "PIP_PYTHON": f"{VENV}/bin/python",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                **manager.env,
            }
        ),
    )


def _filled(installation: Installation, build: str | None) -> tuple[Instruction, ...]:
    """Return the steps that install dependencies before the source where they can, the project and the build after
    it.
    """
    caches = (installation.manager.cache,)
    before: list[Instruction] = []
    if installation.files:
        before += [Copy(installation.files, "./", why=layout.WHY_FIRST)]
    if installation.dependencies and not installation.needs_source:
        before += [Run(installation.dependencies, caches=caches)]
    after = (installation.dependencies if installation.needs_source else ()) + installation.project
    if after or build:
        before += [Copy((".",), "./")]
    before += [Run(after, caches=caches)] if after else []
    before += [Run((build,), phase="build")] if build else []
    return tuple(before)


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
    signs=(*MANIFESTS, "requirements/", *CONVENTIONAL),
    versions=tuple(dotted(line) for line in PYTHON.lines),
)
