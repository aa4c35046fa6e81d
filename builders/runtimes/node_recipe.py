"""The commands that make a Node.js image, and the steps that run them."""

import shlex
from dataclasses import dataclass

from builders import layout
from builders.instructions import Copy, Instruction, Run
from builders.layout import WORKDIR
from builders.plan import BuildSettings
from builders.runtimes.node_packages import LIFECYCLE, Manager, lock_first_files
from builders.runtimes.node_project import Package
from builders.runtimes.node_workspace import Workspace, build_command, install_command
from builders.source import SourceTree


@dataclass(frozen=True)
class Recipe:
    """Commands in the order they run. `files`: what `install` needs; empty if that may be all."""

    manager: Manager
    install: str | None
    files: tuple[str, ...]
    build: str | None
    prune: str | None
    has_development: bool = False  # which NODE_ENV=production would leave out
    member: str = ""  # where in the context the job's own directory is

    @property
    def directory(self) -> str:
        return f"{WORKDIR}/{self.member}" if self.member else WORKDIR

    @property
    def programs(self) -> str:
        """Return where packages have their programs, as PATH takes it."""
        places = dict.fromkeys((self.directory, WORKDIR))
        return ":".join((*(f"{place}/node_modules/.bin" for place in places), "$PATH"))


def choose_recipe(
    tree: SourceTree,
    package: Package,
    manager: Manager,
    settings: BuildSettings,
    workspace: Workspace | None,
    *,
    is_locked: bool,
    keeps_development: bool,
) -> Recipe:
    """Return the commands; what only development needs is there while scripts of the installation or the build run."""
    if workspace:
        return _member_recipe(
            workspace, package, manager, settings, is_locked=is_locked, keeps=keeps_development
        )
    build = settings.build_command or (manager.run("build") if "build" in package.scripts else None)
    if settings.install_command is not None:
        return Recipe(manager, settings.install_command, (), build, None)
    if not package.has_dependencies and "workspaces" not in package.data:
        return Recipe(manager, None, (), build, None)
    has_development = bool(package.table("devDependencies"))
    is_scripted = has_development and any(name in package.scripts for name in LIFECYCLE)
    development = bool(build) or keeps_development or is_scripted
    return Recipe(
        manager,
        manager.install(is_locked, development=development),
        lock_first_files(tree, package.data, manager),
        build,
        manager.prune if build and has_development and not keeps_development else None,
        has_development=development and has_development,
    )


def _member_recipe(
    workspace: Workspace,
    package: Package,
    manager: Manager,
    settings: BuildSettings,
    *,
    is_locked: bool,
    keeps: bool,
) -> Recipe:
    """Return the commands for a member; commands of the settings run in its directory."""
    own = build_command(workspace, package, manager) if "build" in package.scripts else None
    enter = f"cd {shlex.quote(workspace.member)} && "
    build = enter + settings.build_command if settings.build_command else own
    install = install_command(workspace, package, manager, locked=is_locked, development=bool(build) or keeps)
    if settings.install_command is not None:
        install = enter + settings.install_command
    return Recipe(
        manager, install, (), build, None, has_development=bool(build) or keeps, member=workspace.member
    )


def build_steps(recipe: Recipe) -> tuple[Instruction, ...]:
    caches = (recipe.manager.cache,)
    steps: list[Instruction] = [*_copies(recipe.files)]
    if recipe.install:
        steps += [] if recipe.files else [Copy((".",), "./", why="All of it: installing may use any.")]
        steps += [
            Run((recipe.install,), caches=caches, unseen=("NODE_ENV",) if recipe.has_development else ())
        ]
    if recipe.build:
        steps += [] if recipe.install and not recipe.files else [Copy((".",), "./")]
        steps += [Run((recipe.build,), phase="build")]
    if recipe.prune:
        steps += [Run((recipe.prune,), caches=caches, why="What only the build needed stays behind.")]
    return tuple(steps)


def _copies(files: tuple[str, ...]) -> tuple[Instruction, ...]:
    """Files go together, directories each to a place of its own."""
    plain = tuple(name for name in files if not name.endswith("/"))
    first = (Copy(plain, "./", why=layout.WHY_FIRST),) if plain else ()
    return (*first, *(Copy((name,), f"./{name}") for name in files if name.endswith("/")))
