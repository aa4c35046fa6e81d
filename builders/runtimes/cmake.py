"""C and C++ by CMake: its executables, on a small Debian image."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from builders import layout
from builders.instructions import Copy, Instruction, Run, Stage, Workdir
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start

MANIFEST = "CMakeLists.txt"
TOOLS = ("build-essential", "ca-certificates", "cmake", "git", "ninja-build", "pkg-config")
CONFIGURE = "cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF"
BUILD = f"{CONFIGURE} -DCMAKE_RUNTIME_OUTPUT_DIRECTORY=/out && cmake --build /build"
DEFAULT_NAMES = ("job", "main", "cron", "worker")
# Debian's packages for what is found by `find_package`: to build with, and to run with.
PACKAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CURL": (("libcurl4-openssl-dev",), ("libcurl4t64",)),
    "OpenSSL": (("libssl-dev",), ("libssl3t64",)),
    "PostgreSQL": (("libpq-dev",), ("libpq5",)),
    "SQLite3": (("libsqlite3-dev",), ("libsqlite3-0",)),
    "ZLIB": (("zlib1g-dev",), ("zlib1g",)),
    "fmt": (("libfmt-dev",), ("libfmt10",)),
    "nlohmann_json": (("nlohmann-json3-dev",), ()),
}
_COMMENT = re.compile(r"#[^\n]*")
_PROJECT = re.compile(r"^\s*project\s*\(\s*([\w.+-]+)", re.MULTILINE | re.IGNORECASE)
_EXECUTABLE = re.compile(
    r"^\s*add_executable\s*\(\s*([^\s()]+)(?:\s+(IMPORTED|ALIAS))?", re.MULTILINE | re.IGNORECASE
)
_BELOW = re.compile(r"^\s*add_subdirectory\s*\(\s*([\w./-]+)", re.MULTILINE | re.IGNORECASE)
_PACKAGE = re.compile(r"^\s*find_package\s*\(\s*(\w+)", re.MULTILINE | re.IGNORECASE)
_ASIDE = re.compile(r"(?:.*[_-])?(?:tests?|bench(?:mark)?s?|examples?)(?:[_-].*)?", re.IGNORECASE)


def evidence(tree: SourceTree) -> Evidence | None:
    return first_marker(tree, (MANIFEST,), Strength.MANIFEST)


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    texts = tuple(_texts(tree))
    names = executables_of(texts)
    if not names and settings.build_command is None:
        raise PlanError(
            f"{MANIFEST} has no executable to build: add one by add_executable, or set build_command."
        )
    start = choose_start(tree, settings, _offers(names))
    build = settings.build_command or BUILD
    wanted = dict.fromkeys(name for text in texts for name in _PACKAGE.findall(text))
    needed = tuple(name for name in wanted if name in PACKAGES)
    return BuildPlan(
        runtime="cmake",
        install_command=settings.install_command,
        build_command=build,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Builds with CMake: {', '.join(names) or 'no executable was found'}.",
            *((f"Debian packages for {', '.join(needed)} ({MANIFEST}).",) if needed else ()),
            *layout.system_reasons(tree),
            start.reason,
        ),
        warnings=start.warnings,
        stages=_stages(tree, settings.install_command, build, needed),
    )


def _texts(tree: SourceTree) -> Iterator[str]:
    """Yield the text of the root's list and of those that it adds, without comments."""
    directories = [""]
    for directory in directories:
        text = _COMMENT.sub("", tree.read_text(f"{directory}/{MANIFEST}" if directory else MANIFEST) or "")
        yield text
        for name in _BELOW.findall(text):
            path = posixpath.normpath(f"{directory}/{name}".lstrip("/"))
            if path not in (*directories, ".") and tree.has(f"{path}/{MANIFEST}"):
                directories.append(path)


def executables_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of executables, those of tests and the like left out."""
    project = next((found[1] for text in texts if (found := _PROJECT.search(text))), "")
    names = [
        name.replace("${PROJECT_NAME}", project).replace("${CMAKE_PROJECT_NAME}", project)
        for text in texts
        for name, kind in _EXECUTABLE.findall(text)
        if not kind
    ]
    return tuple(name for name in dict.fromkeys(names) if "$" not in name and not _ASIDE.fullmatch(name))


def _offers(names: tuple[str, ...]) -> Offers:
    chosen = names[0] if len(names) == 1 else next((name for name in DEFAULT_NAMES if name in names), None)
    option = Option(chosen, f"{MANIFEST} has it as an executable") if chosen else None
    return Offers(declared=option, processes={name: name for name in names})


def _stages(tree: SourceTree, install: str | None, build: str, needed: tuple[str, ...]) -> tuple[Stage, ...]:
    to_build = [*TOOLS, *(package for name in needed for package in PACKAGES[name][0])]
    to_run = [package for name in needed for package in PACKAGES[name][1]]
    steps: list[Instruction] = [*layout.system_packages(tree, to_build), Workdir("/src"), Copy((".",), "./")]
    steps += [Run((install,))] if install else []
    steps += [Run(("mkdir -p /out", build), phase="build")]
    final = layout.stage_of_binaries(layout.system_packages(tree, to_run))
    return Stage(layout.SMALL_IMAGE, tuple(steps), "build"), final


RUNTIME = Runtime("cmake", "C and C++", evidence, plan, frozenset({"cmake"}), signs=(MANIFEST,))
