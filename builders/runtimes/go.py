"""Go: a binary of every main package, on a small Debian image."""

import re
from dataclasses import dataclass

from builders import layout
from builders.instructions import Cache, Copy, Env, Instruction, Run, Stage, Workdir
from builders.manifests import first_line
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.go_files import opened_by
from builders.runtimes.releases import is_latest, tool_pins
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start
from builders.versions import Line, dotted, parse_line

MANIFESTS = ("go.mod", "go.work")
OLDEST: Line = (1, 26)
NEWEST: Line = (1, 27)
LOOSE_MODULE = "module job\n"
CACHES = (Cache("go-mod", "/go/pkg/mod"), Cache("go-build", "/root/.cache/go-build"))
DEFAULT_NAMES = ("job", "main", "cron", "worker")
NOT_PROGRAMS = frozenset({"testdata", "examples", "example", "internal", "test", "tests", "docs"})


@dataclass(frozen=True)
class Main:
    """A main package: its directory from the module's root (`.` is the root), and its binary's name."""

    directory: str
    name: str

    @property
    def package(self) -> str:
        return "." if self.directory == "." else f"./{self.directory}"

    @property
    def place(self) -> str:
        return "the root" if self.directory == "." else self.package


def evidence(tree: SourceTree) -> Evidence | None:
    return first_marker(tree, MANIFESTS, Strength.MANIFEST) or first_marker(
        tree, tree.glob("*.go"), Strength.SECONDARY
    )


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    module = tree.read_text("go.mod") or tree.read_text("go.work") or LOOSE_MODULE
    line, version_source, warnings = choose_version(tree, module)
    mains = find_mains(tree, module)
    if not mains and settings.build_command is None:
        raise PlanError("This Go repository has no main package to build: add one, or set build_command.")
    start = choose_start(tree, settings, _offers(mains))
    build = settings.build_command or _build_command(mains, is_module=module is not LOOSE_MODULE)
    install = settings.install_command or ("go mod download" if "go.sum" in tree.root_files else None)
    is_own_install = settings.install_command is not None
    kept = _why_kept(tree, settings, mains, (start.text or "", *start.processes.values()))
    return BuildPlan(
        runtime="go",
        version=dotted(line),
        version_source=version_source,
        package_manager="go",
        install_command=install,
        build_command=build,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Go {dotted(line)}: {version_source}.",
            f"Builds every package main: {', '.join(main.place for main in mains) or 'none found'}.",
            f"The image has the source as well: {kept}."
            if kept
            else "The image has no source: no command or string of the program names a file of it.",
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=(*warnings, *start.warnings),
        stages=_stages(tree, line, (install, is_own_install), build, with_source=bool(kept)),
    )


def _why_kept(
    tree: SourceTree, settings: BuildSettings, mains: tuple[Main, ...], commands: tuple[str, ...]
) -> str:
    """Return why the image needs more of the repository than its binaries; empty if nothing says so."""
    if settings.build_command:
        return "the build command is the settings' own"
    names = {main.name for main in mains}
    others = [command for command in commands if command and command.split()[0] not in names]
    return f"`{others[0]}` is none of the binaries" if others else opened_by(tree, commands)


def choose_version(tree: SourceTree, module: str) -> tuple[Line, str, tuple[str, ...]]:
    """Return the toolchain's minor release: the one asked for, or the newest if that one is older than all known."""
    found = (
        re.search(r"^toolchain\s+go(\S+)", module, re.MULTILINE),
        re.search(r"^go\s+(\S+)", module, re.MULTILINE),
    )
    file = "go.mod" if "go.mod" in tree.root_files else "go.work"
    pinned = first_line(tree, ".go-version")
    asked = [(f"{file} toolchain", found[0][1])] if found[0] else []
    asked += [(f"{file} go directive", found[1][1])] if found[1] else []
    asked += [(".go-version", pinned)] if pinned else []
    asked += [each for each in tool_pins(tree, ("golang", "go")) if not is_latest(each[1])]
    if not asked:
        return NEWEST, "the newest known, as nothing asks for another", ()
    source, text = asked[0]
    line = parse_line(text, 2)
    if line is None:
        raise PlanError(f"{source} {text!r} is not a Go version such as {dotted(NEWEST)}.")
    if line < OLDEST:
        return NEWEST, f"the newest known, as {source} asks for at least {text}", ()
    return line, f"{source} {text}", ()


def find_mains(tree: SourceTree, module: str) -> tuple[Main, ...]:
    """Return the directories with a buildable `package main` and `func main`, the root first."""
    files: dict[str, list[str]] = {}
    for path in tree.glob("**/*.go"):
        directory = path.rpartition("/")[0]
        if not path.endswith("_test.go") and not NOT_PROGRAMS & set(directory.split("/")):
            files.setdefault(directory, []).append(path)
    found = sorted(directory for directory, paths in files.items() if _has_main(tree, paths))
    return tuple(Main(directory or ".", _binary_name(directory, module)) for directory in found)


def _has_main(tree: SourceTree, paths: list[str]) -> bool:
    """Files of one directory are of one package, so that the first one usually settles it."""
    for path in paths:
        text = tree.read_text(path) or ""
        if re.search(r"^//go:build\s+ignore|^// \+build\s+ignore", text, re.MULTILINE):
            continue
        if not re.search(r"^package main\b", text, re.MULTILINE):
            return False
        if re.search(r"^func main\(\)", text, re.MULTILINE):
            return True
    return False


def _binary_name(directory: str, module: str) -> str:
    """Return the binary's name as `go build` does: the last element of the import path that isn't a major version."""
    match = re.search(r"^module\s+[\"`]?([^\s\"`]+)", module, re.MULTILINE)
    path = f"{match[1] if match else 'main'}/{directory}".rstrip("/").split("/")
    return path[-2] if len(path) > 1 and re.fullmatch(r"v[2-9]\d*", path[-1]) else path[-1]


def _offers(mains: tuple[Main, ...]) -> Offers:
    chosen = mains[0] if len(mains) == 1 else None
    root = next((main.name for main in mains if main.directory == "."), None)
    for name in (*DEFAULT_NAMES, root):
        chosen = chosen or next((main for main in mains if main.name == name), None)
    option = Option(chosen.name, f"built from {chosen.place}") if chosen else None
    return Offers(declared=option, processes={main.name: main.name for main in mains})


def _build_command(mains: tuple[Main, ...], *, is_module: bool) -> str:
    packages = " ".join(main.package for main in mains)
    init = "" if is_module else "go mod init job && "
    # timetzdata: time zones inside of the binary, as the run image has none.
    return f"{init}go build -trimpath -buildvcs=false -tags timetzdata -ldflags='-s -w' -o /out/ {packages}"


def _stages(
    tree: SourceTree, line: Line, install: tuple[str | None, bool], build: str, *, with_source: bool
) -> tuple[Stage, ...]:
    system = layout.system_packages(tree)
    # C stays as the toolchain has it: a dependency may need it, and the run image has the same C library.
    steps: list[Instruction] = [*system, Workdir("/src"), Env({"GOTOOLCHAIN": "local"})]
    manifests = tuple(name for name in ("go.mod", "go.sum") if name in tree.root_files)
    command, is_own = install
    source_first = is_own or "go.work" in tree.root_files or "replace" in (tree.read_text("go.mod") or "")
    if command and not source_first:
        steps += [Copy(manifests, "./", why=layout.WHY_FIRST)]
        steps += [Run((command,), caches=CACHES), Copy((".",), "./")]
    else:
        steps += [Copy((".",), "./")]
        steps += [Run((command,), caches=CACHES)] if command else []
    steps += [Run(("mkdir -p /out", build), phase="build", caches=CACHES)]
    build_stage = Stage(f"golang:{dotted(line)}-trixie", tuple(steps), "build")
    return build_stage, layout.stage_of_binaries(system, with_source=with_source)


RUNTIME = Runtime(
    "go",
    "Go",
    evidence,
    plan,
    frozenset({"go"}),
    signs=(*MANIFESTS, "*.go"),
    versions=(dotted(OLDEST), dotted(NEWEST)),
)
