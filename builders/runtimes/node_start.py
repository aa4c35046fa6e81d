"""What a Node.js project offers to run: scripts and programs that it declares, and files that do something."""

import re
import shlex
from collections.abc import Iterator, Mapping

from builders.runtimes.effects import Doing, Effect
from builders.runtimes.node_effects import doing_of
from builders.runtimes.node_programs import with_scripts
from builders.runtimes.node_project import SCRIPTS, Package
from builders.source import SourceTree
from builders.start import MOST_NAMED, Offers, Option, script_command
from builders.versions import Line

CONVENTIONAL = tuple(
    f"{name}.{end}" for name in ("index", "main", "job") for end in ("js", "mjs", "cjs", "ts")
)
TYPES_SINCE: Line = (24,)
MOST_LOOKED_AT = 20  # files at the root, for the one that is a program
# Programs that serve pages and never finish.
SERVERS = frozenset(
    [
        *("next", "nuxt", "nuxi", "vite", "react-scripts", "ng", "nodemon", "webpack-dev-server", "serve"),
        *(
            "http-server",
            "live-server",
            "astro",
            "gatsby",
            "expo",
            "meteor",
            "remix-serve",
            "remix",
            "parcel",
        ),
        *("react-router-serve", "svelte-kit", "vue-cli-service", "gridsome", "docusaurus", "eleventy"),
        *(
            "storybook",
            "start-storybook",
            "json-server",
            "wrangler",
            "netlify",
            "strapi",
            "keystone",
            "sails",
        ),
        *("gulp", "webpack", "browser-sync", "firebase", "functions-framework", "electron", "tauri"),
    ]
)
_FINISHES = re.compile(
    r"(?:vite|next|nuxt|nuxi|ng|astro|gatsby|webpack|gulp|remix|parcel|docusaurus)\s+(?:build|export|generate)\b"
)
_BEFORE = re.compile(
    r"(?:(?:\w+=\S*|npx|pnpx|yarn|pnpm|bunx|exec|dlx|cross-env|dotenv|env-cmd|--|-[\w-]+)\s+)*(?P<command>.*)",
    re.DOTALL,
)
_FILE = re.compile(r"(?<![\w./@-])(?:\./)?([\w./-]+\.[mc]?[jt]sx?)\b")
_BUILT = re.compile(r"(?:dist|build|lib|out)/(?:src/)?(.*)\.[mc]?js")
_NEST = "src/main.ts"
_TOOLING = re.compile(
    r"^\.|\.(?:config|conf|preset|setup|workspace|test|spec|stories|d)\.|^(?:gulpfile|gruntfile|jakefile)\.",
    re.IGNORECASE,
)


def offers_of(tree: SourceTree, package: Package, line: Line, program: str = "node") -> Offers:
    """Return what there is to run; `program` is what runs files."""
    scripts = package.scripts
    served = {name: why for name in SCRIPTS if name in scripts and (why := _serves(tree, scripts, name))}
    name = next((name for name in SCRIPTS if name in scripts and name not in served), None)
    declared = Option(_script_command(scripts, name), f"package.json has a script {name!r}") if name else None
    looked_at = [name for name in CONVENTIONAL if name in tree.root_files] or _programs(tree)[:1]
    return Offers(
        declared=declared or _single_bin(tree, package, program) or _main(tree, package, program),
        conventional=_conventional(tree, line, program),
        candidates=[
            *(f"script {name!r}" for name in scripts),
            *(path for path in _programs(tree) if path.endswith("js")),
            *_members(tree, package),
        ],
        notes=[
            *served.values(),
            *(f"{path} {note}" for path in looked_at if (note := _doing(tree, path).note)),
        ],
    )


def is_program(name: str) -> bool:
    """Return whether the file may be one: not what configures a tool, tests something, or only declares types."""
    return bool(re.search(r"\.[mc]?[jt]s$", name)) and not _TOOLING.search(name)


def _programs(tree: SourceTree) -> list[str]:
    return [name for name in tree.root_files if is_program(name)]


def _members(tree: SourceTree, package: Package) -> list[str]:
    """Return the packages below a workspace's root, as what the root directory may be set to."""
    if "workspaces" not in package.data and "pnpm-workspace.yaml" not in tree.root_files:
        return []
    directories = (path.rpartition("/")[0] for path in tree.glob("**/package.json"))
    return [f"root_directory /{directory}" for directory in directories if directory][:MOST_NAMED]


def _serves(tree: SourceTree, scripts: Mapping[str, str], name: str) -> str:
    """Return a sentence about what serves in a script, or in those that it calls; nothing where none does."""
    for command in _commands(with_scripts(scripts, [scripts[name]])):
        program = command.partition(" ")[0].rsplit("/", 1)[-1]
        if program in SERVERS and not _FINISHES.match(command):
            return f"The script {name!r} runs {program}, which serves and never finishes"
        paths = [_NEST] if command.startswith("nest start") else _FILE.findall(command)
        for path in filter(None, (_source_of(tree, path) for path in paths)):
            if _doing(tree, path).effect is Effect.SERVES:
                return f"The script {name!r} runs {path}, which starts a server and never finishes"
    return ""


def _commands(texts: set[str]) -> Iterator[str]:
    """Yield the commands of shell texts, in a fixed order, without what only prepares for them."""
    for text in sorted(texts):
        for part in re.split(r"&&|\|\||[;|&]", text):
            found = _BEFORE.match(part.strip())
            yield found["command"] if found else ""


def _source_of(tree: SourceTree, path: str) -> str:
    """Return the file, or what it is most likely built from; nothing where there is neither."""
    path = path.removeprefix("./")
    if tree.has(path):
        return path
    built = _BUILT.fullmatch(path)
    stems = (f"{root}{built[1]}" for root in ("src/", "")) if built else ()
    return next(
        (f"{stem}{end}" for stem in stems for end in (".ts", ".mts", ".js") if tree.has(f"{stem}{end}")), ""
    )


def _script_command(scripts: Mapping[str, str], name: str) -> str:
    """Return the script's own command, so that signals reach it, unless npm has to run others around it."""
    around = any(f"{when}{name}" in scripts for when in ("pre", "post"))
    return f"npm run --silent {name}" if around or "$npm_" in scripts[name] else scripts[name]


def _single_bin(tree: SourceTree, package: Package, program: str) -> Option | None:
    if len(package.bins) != 1:
        return None
    path = next(iter(package.bins.values()))
    first = (tree.read_head(path.removeprefix("./")) or "").partition("\n")[0]
    if re.search(r"\.[mc]?[jt]s$", path) or not first or "node" in first:
        return Option(f"{program} {shlex.quote(path)}", "package.json has one bin")
    is_script = first.startswith("#!")
    return (
        Option(script_command(tree, path.removeprefix("./")), "package.json has one bin")
        if is_script
        else None
    )


def _main(tree: SourceTree, package: Package, program: str) -> Option | None:
    """Return what package.json names as main, if running that does something, or a build makes it."""
    main = package.data.get("main")
    if not isinstance(main, str):
        return None
    path = next(
        (f"{main.removeprefix('./')}{end}" for end in ("", ".js", "/index.js") if tree.has(f"{main}{end}")),
        "",
    )
    source = path or _source_of(tree, main)
    if source and _runs(tree, source):
        return Option(f"{program} {shlex.quote(main)}", "package.json names it as main")
    is_built = not source and "build" in package.scripts
    return Option(f"{program} {shlex.quote(main)}", "package.json names it as main") if is_built else None


def _runs(tree: SourceTree, path: str) -> bool:
    is_code = re.search(r"\.[mc]?[jt]sx?$", path) is not None
    return is_code and _doing(tree, path).effect is Effect.RUNS


def _doing(tree: SourceTree, path: str) -> Doing:
    return doing_of(tree.read_beginning(path) or "")


def _conventional(tree: SourceTree, line: Line, program: str) -> Option | None:
    usable = [
        name for name in _programs(tree) if not name.endswith("ts") or line >= TYPES_SINCE or program == "bun"
    ]
    name = next((name for name in CONVENTIONAL if name in usable and _runs(tree, name)), None)
    if name:
        return Option(f"{program} {name}", f"{name} is at the root")
    found = [name for name in usable[:MOST_LOOKED_AT] if _runs(tree, name)]
    if len(found) == 1:
        return Option(f"{program} {shlex.quote(found[0])}", f"{found[0]} is the only program at the root")
    return None
