"""Node.js: npm, pnpm, Yarn 1 and later; dependencies from the lock, development ones only while building."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders import layout
from builders.instructions import Copy, Env, Instruction, Run, Stage, Workdir
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.runtimes.base import WORKDIR, Evidence, Runtime, Strength, first_marker
from builders.runtimes.node_packages import Manager, choose_manager, is_locked, lock_first_files
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start
from builders.versions import Line, UnreadableVersion, dotted, parse_constraint, pick

DEFAULT: Line = (24,)
# Release line → the Debian release its newest images are made on.
LINES: dict[Line, str] = {
    (16,): "bookworm",
    (18,): "bookworm",
    (20,): "trixie",
    (22,): "trixie",
    (24,): "trixie",
}
CODENAMES = {"gallium": "16", "hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24"}
ANY_LTS = frozenset({"lts/*", "lts/-0", "lts", "node", "stable", "latest", "current", "system"})

SCRIPTS = ("job", "cron", "worker", "start")
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


@dataclass(frozen=True)
class Package:
    """package.json; empty if there is none."""

    data: Mapping[str, Any]

    def table(self, key: str) -> dict[str, Any]:
        value = self.data.get(key)
        return value if isinstance(value, dict) else {}

    @property
    def scripts(self) -> dict[str, str]:
        return {name: text for name, text in self.table("scripts").items() if isinstance(text, str)}

    @property
    def has_dependencies(self) -> bool:
        return any(self.table(f"{kind}ependencies") for kind in ("d", "devD", "optionalD", "peerD"))

    @property
    def is_only_tooling(self) -> bool:
        """Whether it only carries development tools for another language's project."""
        runs = any(name in self.scripts for name in (*SCRIPTS, "build", "serve"))
        return not (
            self.table("dependencies") or self.bins or runs or {"main", "workspaces"} & self.data.keys()
        )

    @property
    def bins(self) -> dict[str, str]:
        bin_ = self.data.get("bin")
        return {str(self.data.get("name", "bin")): bin_} if isinstance(bin_, str) else self.table("bin")


def read_package(tree: SourceTree) -> Package:
    """Raises PlanError if it isn't JSON."""
    try:
        data = json.loads(tree.read_text("package.json") or "{}")
    except ValueError as error:
        raise PlanError(f"package.json is not JSON: {error}.") from error
    return Package(data if isinstance(data, dict) else {})


def evidence(tree: SourceTree) -> Evidence | None:
    if "package.json" in tree.root_files:
        weak = read_package(tree).is_only_tooling
        return Evidence(Strength.SECONDARY if weak else Strength.MANIFEST, "package.json")
    scripts = tuple(
        name for name in tree.root_files if re.search(r"\.[mc]?[jt]s$", name) and ".config." not in name
    )
    return first_marker(tree, CONVENTIONAL, Strength.SECONDARY) or first_marker(
        tree, scripts, Strength.LOOSE_FILE
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    package = read_package(tree)
    line, version_source, version_warnings = choose_version(tree, package)
    manager, why, manager_warnings = choose_manager(tree, package.data)
    start = choose_start(tree, settings, _offers(tree, package, line))
    build = settings.build_command or (manager.run("build") if "build" in package.scripts else None)
    installs = (
        settings.install_command is not None or package.has_dependencies or "workspaces" in package.data
    )
    install = settings.install_command or (
        manager.install(is_locked(tree, manager), development=bool(build)) if installs else None
    )
    recipe = Recipe(tree, package, manager, install, build, settings.install_command is not None)
    return BuildPlan(
        runtime="node",
        version=dotted(line),
        version_source=version_source,
        package_manager=manager.name,
        install_command=install,
        build_command=build,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Node.js {dotted(line)}: {version_source}.",
            f"Installs with {manager.name}: {why}."
            if installs
            else "Installs nothing: no dependencies are declared.",
            *(
                (f"Builds with {build!r}: package.json has a script 'build'.",)
                if build and not settings.build_command
                else ()
            ),
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(*version_warnings, *(manager_warnings if installs else ()), *start.warnings),
        stages=_stages(recipe, f"node:{dotted(line)}-{LINES[line]}-slim", " ".join(start.argv)),
    )


@dataclass(frozen=True)
class Recipe:
    tree: SourceTree
    package: Package
    manager: Manager
    install: str | None
    build: str | None
    is_own_install: bool


def _stages(recipe: Recipe, image: str, command: str) -> tuple[Stage, ...]:
    system = layout.system_packages(recipe.tree)
    environment = {
        "NODE_ENV": "production",
        "HOME": layout.HOME,
        "PATH": f"{WORKDIR}/node_modules/.bin:$PATH",
    }
    final: list[Instruction] = [*system, Env(environment)]
    manager = recipe.manager
    if manager.tool and re.search(rf"\b{manager.command}\b", command):
        final.insert(
            len(system), Run((manager.tool,), caches=(manager.npm_cache,), why="The command calls it.")
        )
    if not recipe.install and not recipe.build:
        return (Stage(image, (*final, layout.source_from_context(), Workdir(WORKDIR))),)
    steps: list[Instruction] = [*system, Workdir(WORKDIR)]
    if manager.tool:
        steps.append(Run((manager.tool,), caches=(manager.npm_cache,)))
    if manager.env:
        steps.append(Env(manager.env))
    files = () if recipe.is_own_install else lock_first_files(recipe.tree, recipe.package.data, manager)
    if recipe.install:
        steps.extend(
            _copies(files) or [Copy((".",), "./", why="All of the source: installing runs some of it.")]
        )
        steps.append(Run((recipe.install,), caches=(manager.cache,)))
    if recipe.build:
        steps.extend([Copy((".",), "./")] if files or not recipe.install else [])
        steps.append(Run((recipe.build,), phase="build"))
        if recipe.install and not recipe.is_own_install and recipe.package.table("devDependencies"):
            steps.append(
                Run((manager.prune,), caches=(manager.cache,), why="What only the build needed stays here.")
            )
    needs_all = recipe.build or not files
    final += (
        [layout.source_from_build()]
        if needs_all
        else [
            Copy((f"{WORKDIR}/node_modules",), f"{WORKDIR}/node_modules", stage="build"),
            layout.source_from_context(),
        ]
    )
    return Stage(image, tuple(steps), "build"), Stage(image, (*final, Workdir(WORKDIR)))


def _copies(files: tuple[str, ...]) -> list[Instruction]:
    """Files go together, directories each to their own place."""
    plain = tuple(name for name in files if not name.endswith("/"))
    why = "What names the dependencies, first: they change seldom."
    directories = [Copy((name,), f"./{name}") for name in files if name.endswith("/")]
    return [Copy(plain, "./", why=why), *directories] if plain else []


# --- version


def choose_version(tree: SourceTree, package: Package) -> tuple[Line, str, tuple[str, ...]]:
    """The release line, where it comes from, and warnings. Raises PlanError for what no base image satisfies."""
    asked = [(source, text) for source, text in _version_sources(tree, package) if text]
    if not asked:
        return DEFAULT, "the default, as nothing asks for another", ()
    source, text = asked[0]
    picked = _resolve(source, text)
    disagreeing = [
        f"{other} asks for {wanted}; {source} decides."
        for other, wanted in asked[1:]
        if not _satisfies(other, wanted, picked)
    ]
    return picked, f"{source} {text!r}", tuple(disagreeing)


def _version_sources(tree: SourceTree, package: Package) -> list[tuple[str, str]]:
    development = package.table("devEngines").get("runtime")
    runtime = development if isinstance(development, dict) and development.get("name") == "node" else {}
    tools = re.search(r"^node(?:js)?[ \t]+(\S+)", tree.read_head(".tool-versions") or "", re.MULTILINE)
    return [
        ("package.json engines.node", str(package.table("engines").get("node") or "")),
        ("package.json volta.node", str(package.table("volta").get("node") or "")),
        ("package.json devEngines.runtime", str(runtime.get("version") or "")),
        (".nvmrc", (tree.read_head(".nvmrc") or "").partition("#")[0].strip()),
        (".node-version", (tree.read_head(".node-version") or "").strip()),
        (".tool-versions", tools[1] if tools else ""),
    ]


def _resolve(source: str, text: str) -> Line:
    picked = pick(parse_node(source, text), tuple(LINES), DEFAULT) if text not in ANY_LTS else DEFAULT
    if picked is None:
        known = ", ".join(dotted(line) for line in LINES)
        raise PlanError(
            f"{source} asks for Node.js {text!r}, but base images exist for {known}. Add a Dockerfile to use it."
        )
    return picked


def parse_node(source: str, text: str) -> Any:
    codename = text.lower().removeprefix("lts/")
    try:
        return parse_constraint(CODENAMES.get(codename, text))
    except UnreadableVersion as error:
        raise PlanError(f"{source} {text!r} can't be read as a version of Node.js.") from error


def _satisfies(source: str, text: str, line: Line) -> bool:
    return text in ANY_LTS or parse_node(source, text).allows_some_of(line)


# --- start


def _offers(tree: SourceTree, package: Package, line: Line) -> Offers:
    scripts = package.scripts
    name = next((name for name in SCRIPTS if name in scripts and _may_run(scripts, name)), None)
    declared = Option(_script_command(scripts, name), f"package.json has a script {name!r}") if name else None
    return Offers(
        declared=declared or _single_bin(package) or _main(tree, package),
        conventional=_conventional(tree, line),
        candidates=[f"script {name!r}" for name in scripts] + list(tree.glob("*.js")),
    )


def _may_run(scripts: Mapping[str, str], name: str) -> bool:
    words = re.findall(r"[\w./@-]+", scripts[name])
    return name != "start" or not any(word in SERVERS for word in words[:2])


def _script_command(scripts: Mapping[str, str], name: str) -> str:
    """The script's own command, so that signals reach it, unless npm has to run others around it."""
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


def _conventional(tree: SourceTree, line: Line) -> Option | None:
    usable = [name for name in tree.root_files if not name.endswith(".ts") or line >= TYPES_SINCE]
    name = next((name for name in CONVENTIONAL if name in usable), None)
    if name:
        return Option(f"node {name}", f"{name} is at the root")
    programs = [
        name
        for name in usable
        if re.search(r"\.[mc]?[jt]s$", name) and not re.search(r"\.(config|test|spec|d)\.", name)
    ]
    if len(programs) == 1:
        return Option(f"node {shlex.quote(programs[0])}", f"{programs[0]} is the only program at the root")
    return None


RUNTIME = Runtime(
    "node", "Node.js", evidence, plan, frozenset(["node", "npm", "npx", "pnpm", "yarn", "tsx", "ts-node"])
)
