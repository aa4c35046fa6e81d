"""Node.js: dependencies from the lock file, those for development only while building."""

import re
from dataclasses import dataclass

from builders import layout
from builders.instructions import Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.node_lock import stale_lock
from builders.runtimes.node_packages import LIFECYCLE, Manager, choose_manager, lock_first_files
from builders.runtimes.node_programs import development_programs, refuse_other_runtimes
from builders.runtimes.node_project import NODE, Package, choose_version, read_package
from builders.runtimes.node_start import CONVENTIONAL, is_program, offers_of
from builders.source import SourceTree
from builders.start import choose_start
from builders.versions import dotted


def evidence(tree: SourceTree) -> Evidence | None:
    if "package.json" in tree.root_files:
        weak = read_package(tree).is_only_tooling
        return Evidence(Strength.SECONDARY if weak else Strength.MANIFEST, "package.json")
    scripts = tuple(name for name in tree.root_files if is_program(name))
    return first_marker(tree, CONVENTIONAL, Strength.SECONDARY) or first_marker(
        tree, scripts, Strength.LOOSE_FILE
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    package = read_package(tree)
    release = choose_version(tree, package)
    manager, why, manager_warnings = choose_manager(tree, package.data)
    start = choose_start(tree, settings, offers_of(tree, package, release.line))
    refuse_other_runtimes(package, start.text or "")
    needed = development_programs(package, [start.text or "", *start.processes.values()])
    lock = next((lock for lock in manager.locks if lock in tree.root_files), "")
    stale = stale_lock(tree, package, lock) if lock and manager.name == "npm" else ""
    recipe = _recipe(
        tree, package, manager, settings, is_locked=bool(lock and not stale), keeps_development=bool(needed)
    )
    return BuildPlan(
        runtime="node",
        version=release.text,
        version_source=release.source,
        package_manager=manager.name,
        install_command=recipe.install,
        build_command=recipe.build,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Node.js {release.text}: {release.source}.",
            f"Installs with {manager.name}: {why}."
            if recipe.install
            else "Installs nothing: no dependencies are declared.",
            *((f"Keeps development dependencies: {', '.join(needed)} runs with the job.",) if needed else ()),
            *(("Builds: package.json has a script 'build'.",) if recipe.build else ()),
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(
            *release.warnings,
            *((*manager_warnings, *((stale,) if stale else ())) if recipe.install else ()),
            *start.warnings,
        ),
        stages=_stages(tree, recipe, NODE.tag(release), " ".join(start.argv)),
    )


@dataclass(frozen=True)
class Recipe:
    """Commands in the order they run. `files`: what `install` needs; empty if that may be all."""

    manager: Manager
    install: str | None
    files: tuple[str, ...]
    build: str | None
    prune: str | None
    has_development: bool = False  # which NODE_ENV=production would leave out


def _recipe(
    tree: SourceTree,
    package: Package,
    manager: Manager,
    settings: BuildSettings,
    *,
    is_locked: bool,
    keeps_development: bool,
) -> Recipe:
    """Return the commands; what only development needs is there while scripts of the installation or the build run."""
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


def _stages(tree: SourceTree, recipe: Recipe, image: str, command: str) -> tuple[Stage, ...]:
    system = layout.system_packages(tree)
    manager = recipe.manager
    tool = (Run((manager.tool,), caches=(manager.npm_cache,)),) if manager.tool else ()
    at_run_time = tool if re.search(rf"\b{manager.command}\b", command) else ()
    path = f"{WORKDIR}/node_modules/.bin:$PATH"
    first = (*system, *at_run_time, Env({"NODE_ENV": "production", "HOME": layout.HOME, "PATH": path}))
    if not recipe.install and not recipe.build:
        return (Stage(image, (*first, layout.source_from_context(), Workdir(WORKDIR))),)
    building = (*system, Workdir(WORKDIR), *tool, Env({**manager.env, "PATH": path}), *_build_steps(recipe))
    source: tuple[Instruction, ...] = (layout.source_from_build(),)
    if not recipe.build and recipe.files:
        source = (
            Copy((WORKDIR,), WORKDIR, stage="build", owned=True, why="The installed packages."),
            layout.source_from_context(),
        )
    return Stage(image, building, "build"), Stage(image, (*first, *source, Workdir(WORKDIR)))


def _build_steps(recipe: Recipe) -> tuple[Instruction, ...]:
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


RUNTIME = Runtime(
    "node",
    "Node.js",
    evidence,
    plan,
    frozenset(["node", "npm", "npx", "pnpm", "yarn", "tsx", "ts-node"]),
    signs=("package.json", *CONVENTIONAL),
    versions=tuple(dotted(line) for line in NODE.lines),
)
