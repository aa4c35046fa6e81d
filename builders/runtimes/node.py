"""Node.js: dependencies from the lock file, those for development only while building."""

import re

from builders import layout
from builders.instructions import Copy, Env, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.node_lock import stale_lock
from builders.runtimes.node_packages import choose_manager
from builders.runtimes.node_programs import development_programs, refuse_other_runtimes
from builders.runtimes.node_project import NODE, choose_version, read_package
from builders.runtimes.node_recipe import Recipe, build_steps, choose_recipe
from builders.runtimes.node_start import CONVENTIONAL, is_program, offers_of
from builders.runtimes.node_workspace import Workspace, find_workspace
from builders.source import SourceTree
from builders.start import choose_start
from builders.versions import dotted

MODULES = f"{WORKDIR}/node_modules"
ALL_BUT_MODULES = "mkdir /out && find . -mindepth 1 -maxdepth 1 ! -name node_modules -exec cp -a -t /out {} +"
WHY_APART = "The installed packages, in a layer of their own that no change of the source makes anew."


def evidence(tree: SourceTree) -> Evidence | None:
    if "package.json" in tree.root_files:
        weak = read_package(tree).is_only_tooling
        return Evidence(Strength.SECONDARY if weak else Strength.MANIFEST, "package.json")
    scripts = tuple(name for name in tree.root_files if is_program(name))
    return first_marker(tree, CONVENTIONAL, Strength.SECONDARY) or first_marker(
        tree, scripts, Strength.LOOSE_FILE
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    return _plan(tree, settings, None)


def plan_member(repository: SourceTree, directory: str, settings: BuildSettings) -> BuildPlan | None:
    """Plan a directory whose lock file is above it, in the workspace that it belongs to; None where there is none."""
    workspace = find_workspace(repository, directory)
    tree = repository.subtree(directory)
    return _plan(tree, settings, workspace) if workspace and tree else None


def _plan(tree: SourceTree, settings: BuildSettings, workspace: Workspace | None) -> BuildPlan:
    package = read_package(tree)
    release = choose_version(tree, package)
    root, top = (workspace.tree, workspace.package) if workspace else (tree, package)
    if workspace and release == NODE.newest():
        release = choose_version(root, top)
    manager, why, manager_warnings = choose_manager(root, top.data)
    start = choose_start(
        tree, settings, offers_of(tree, package, release.line, "bun" if manager.name == "bun" else "node")
    )
    refuse_other_runtimes(package, start.text or "", manager.name)
    needed = development_programs(package, [start.text or "", *start.processes.values()])
    lock = next((lock for lock in manager.locks if lock in root.root_files), "")
    stale = stale_lock(root, top, lock) if lock and manager.name == "npm" else ""
    recipe = choose_recipe(
        *(tree, package, manager, settings, workspace),
        is_locked=bool(lock and not stale),
        keeps_development=bool(needed),
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
            *(
                (f"Builds all of {_named(workspace)}, of which {workspace.member} is a member.",)
                if workspace
                else ()
            ),
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(
            *release.warnings,
            *((*manager_warnings, *((stale,) if stale else ())) if recipe.install else ()),
            *start.warnings,
        ),
        root_directory=workspace.path if workspace else ".",
        stages=_stages(tree, recipe, NODE.tag(release), " ".join(start.argv)),
    )


def _named(workspace: Workspace) -> str:
    return "the workspace at the root" if workspace.path == "." else f"the workspace {workspace.path}"


def _stages(tree: SourceTree, recipe: Recipe, image: str, command: str) -> tuple[Stage, ...]:
    system = layout.system_packages(tree)
    manager = recipe.manager
    tool = (Run((manager.tool,), caches=(manager.npm_cache,)),) if manager.tool else ()
    at_run_time = tool if re.search(rf"\b{manager.command}x?\b", command) else ()
    path = recipe.programs
    first = (*system, *at_run_time, Env({"NODE_ENV": "production", "HOME": layout.HOME, "PATH": path}))
    if not recipe.install and not recipe.build:
        return (Stage(image, (*first, layout.source_from_context(), Workdir(WORKDIR))),)
    building = (*system, Workdir(WORKDIR), *tool, Env({**manager.env, "PATH": path}), *build_steps(recipe))
    end = Workdir(recipe.directory)
    if not recipe.install:
        final = Stage(image, (*first, layout.source_from_build(), end))
        return Stage(image, building, "build"), final
    if not recipe.build and recipe.files:
        packages = Copy((WORKDIR,), WORKDIR, stage="build", why="The installed packages.")
        final = Stage(image, (*first, packages, layout.source_from_context(), end))
        return Stage(image, building, "build"), final
    apart = Run(("mkdir -p node_modules",), phase="system")
    packages = Copy((MODULES,), MODULES, stage="build", why=WHY_APART)
    source = Copy(("/out",), WORKDIR, stage="source", why=layout.WHY_BUILT)
    return (
        Stage(image, (*building, apart), "build"),
        Stage("build", (Run((ALL_BUT_MODULES,), phase="system"),), "source"),
        Stage(image, (*first, packages, source, end)),
    )


RUNTIME = Runtime(
    "node",
    "Node.js",
    evidence,
    plan,
    frozenset(["node", "npm", "npx", "pnpm", "yarn", "tsx", "ts-node", "bun"]),
    signs=("package.json", *CONVENTIONAL),
    versions=tuple(dotted(line) for line in NODE.lines),
    plan_member=plan_member,
)
