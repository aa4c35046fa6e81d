"""Node.js: dependencies from the lock file, those for development only while building."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from builders import layout
from builders.instructions import Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.node_packages import LIFECYCLE, Manager, choose_manager, is_locked, lock_first_files
from builders.runtimes.node_programs import development_programs, refuse_other_runtimes
from builders.runtimes.node_project import LINES, SCRIPTS, Package, choose_version, read_package
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start
from builders.versions import Line, dotted

CONVENTIONAL = tuple(
    f"{name}.{end}" for name in ("index", "main", "job") for end in ("js", "mjs", "cjs", "ts")
)
# First words of scripts that serve pages and never finish.
SERVERS = frozenset(
    [
        "next",
        "nuxt",
        "nuxi",
        "vite",
        "react-scripts",
        "ng",
        "nodemon",
        "webpack-dev-server",
        "serve",
        "http-server",
        "astro",
        "gatsby",
    ]
)
TYPES_SINCE: Line = (24,)
MOST_MEMBERS = 10  # named in a refusal
_TOOLING = re.compile(
    r"^\.|\.(?:config|conf|preset|setup|workspace|test|spec|stories|d)\.|^(?:gulpfile|gruntfile|jakefile)\.",
    re.IGNORECASE,
)


def evidence(tree: SourceTree) -> Evidence | None:
    if "package.json" in tree.root_files:
        weak = read_package(tree).is_only_tooling
        return Evidence(Strength.SECONDARY if weak else Strength.MANIFEST, "package.json")
    scripts = tuple(name for name in tree.root_files if _is_program(name))
    return first_marker(tree, CONVENTIONAL, Strength.SECONDARY) or first_marker(
        tree, scripts, Strength.LOOSE_FILE
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    package = read_package(tree)
    line, version_source, version_warnings = choose_version(tree, package)
    manager, why, manager_warnings = choose_manager(tree, package.data)
    start = choose_start(tree, settings, _offers(tree, package, line))
    refuse_other_runtimes(package, start.text or "")
    needed = development_programs(package, [start.text or "", *start.processes.values()])
    recipe = _recipe(tree, package, manager, settings, keeps_development=bool(needed))
    return BuildPlan(
        runtime="node",
        version=dotted(line),
        version_source=version_source,
        package_manager=manager.name,
        install_command=recipe.install,
        build_command=recipe.build,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Node.js {dotted(line)}: {version_source}.",
            f"Installs with {manager.name}: {why}."
            if recipe.install
            else "Installs nothing: no dependencies are declared.",
            *((f"Keeps development dependencies: {', '.join(needed)} runs with the job.",) if needed else ()),
            *(("Builds: package.json has a script 'build'.",) if recipe.build else ()),
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(*version_warnings, *(manager_warnings if recipe.install else ()), *start.warnings),
        stages=_stages(tree, recipe, f"node:{dotted(line)}-{LINES[line]}-slim", " ".join(start.argv)),
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
        manager.install(is_locked(tree, manager), development=development),
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


def _offers(tree: SourceTree, package: Package, line: Line) -> Offers:
    scripts = package.scripts
    name = next((name for name in SCRIPTS if name in scripts and _may_run(scripts, name)), None)
    declared = Option(_script_command(scripts, name), f"package.json has a script {name!r}") if name else None
    return Offers(
        declared=declared or _single_bin(package) or _main(tree, package),
        conventional=_conventional(tree, line),
        candidates=[
            *(f"script {name!r}" for name in scripts),
            *filter(_is_program, tree.glob("*.js")),
            *_members(tree, package),
        ],
    )


def _members(tree: SourceTree, package: Package) -> list[str]:
    """Return the packages below a workspace's root, as what the root directory may be set to."""
    if "workspaces" not in package.data and "pnpm-workspace.yaml" not in tree.root_files:
        return []
    directories = (path.rpartition("/")[0] for path in tree.glob("**/package.json"))
    return [f"root_directory /{directory}" for directory in directories if directory][:MOST_MEMBERS]


def _may_run(scripts: Mapping[str, str], name: str) -> bool:
    words = re.findall(r"[\w./@-]+", scripts[name])
    return name != "start" or not any(word in SERVERS for word in words[:2])


def _script_command(scripts: Mapping[str, str], name: str) -> str:
    """Return the script's own command, so that signals reach it, unless npm has to run others around it."""
    around = any(f"{when}{name}" in scripts for when in ("pre", "post"))
    return f"npm run --silent {name}" if around or "$npm_" in scripts[name] else scripts[name]


def _single_bin(package: Package) -> Option | None:
    if len(package.bins) != 1:
        return None
    path = next(iter(package.bins.values()))
    return Option(f"node {shlex.quote(str(path))}", "package.json has one bin")


def _main(tree: SourceTree, package: Package) -> Option | None:
    main = package.data.get("main")
    if not isinstance(main, str) or ("build" not in package.scripts and not _main_file(tree, main)):
        return None
    return Option(f"node {shlex.quote(main)}", "package.json names it as main")


def _main_file(tree: SourceTree, main: str) -> bool:
    return any(tree.has(f"{main}{end}") for end in ("", ".js", "/index.js"))


def _is_program(name: str) -> bool:
    """Return whether the file is a program: not what configures a tool, tests something, or only declares types."""
    return bool(re.search(r"\.[mc]?[jt]s$", name)) and not _TOOLING.search(name)


def _conventional(tree: SourceTree, line: Line) -> Option | None:
    usable = [name for name in tree.root_files if not name.endswith(".ts") or line >= TYPES_SINCE]
    name = next((name for name in CONVENTIONAL if name in usable), None)
    if name:
        return Option(f"node {name}", f"{name} is at the root")
    programs = [name for name in usable if _is_program(name)]
    if len(programs) == 1:
        return Option(f"node {shlex.quote(programs[0])}", f"{programs[0]} is the only program at the root")
    return None


RUNTIME = Runtime(
    "node",
    "Node.js",
    evidence,
    plan,
    frozenset(["node", "npm", "npx", "pnpm", "yarn", "tsx", "ts-node"]),
    signs=("package.json", *CONVENTIONAL),
    versions=tuple(dotted(line) for line in LINES),
)
