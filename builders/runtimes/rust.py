"""Rust: the binaries of a package or of a workspace's members, on a small Debian image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from builders import layout
from builders.commands import join
from builders.instructions import Cache, Copy, Env, Instruction, Run, Stage, Workdir
from builders.manifests import first_line, read_toml
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.runtimes.base import Evidence, Runtime, Strength
from builders.runtimes.effects import SERVES_FOR_EVER
from builders.runtimes.releases import is_latest, tool_pins
from builders.source import SourceTree
from builders.start import Offers, Option, choose_start
from builders.versions import dotted, parse_line

MANIFEST = "Cargo.toml"
TOOLCHAINS = ("rust-toolchain.toml", "rust-toolchain")
NEWEST = "1"  # the tag of the newest release: there is one every six weeks
TARGET = "/target"
CACHES = (
    Cache("cargo-registry", "/usr/local/cargo/registry"),
    Cache("cargo-git", "/usr/local/cargo/git"),
    Cache("cargo-target", TARGET, locked=True),  # a binary is copied from there after it was built
)
DEFAULT_NAMES = ("job", "main", "cron", "worker")
# Debian's packages for crates that bind a C library, by the crate: to build with, and to run with.
SYSTEM: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openssl-sys": (("pkg-config", "libssl-dev"), ("libssl3t64",)),
    "pq-sys": (("libpq-dev",), ("libpq5",)),
    "libsqlite3-sys": (("pkg-config", "libsqlite3-dev"), ("libsqlite3-0",)),
    "mysqlclient-sys": (("pkg-config", "default-libmysqlclient-dev"), ("libmariadb3",)),
}
SERVERS = ("actix-web", "axum", "gotham", "poem", "rocket", "salvo", "tide", "warp")
# These build the C library themselves where a dependency asks for that.
VENDORED = {"openssl-sys": "openssl-src"}


@dataclass(frozen=True)
class Binary:
    """`server` is the web framework that the program of a package's own name is taken to serve with."""

    name: str
    package: str
    is_default: bool = False
    server: str = ""


@dataclass(frozen=True)
class Member:
    """A package: its directory from the root (empty for the root's own) and its manifest."""

    directory: str
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(_table(self.manifest, "package").get("name", ""))


def evidence(tree: SourceTree) -> Evidence | None:
    """A crate that is made for another language's package speaks for that language."""
    if MANIFEST not in tree.root_files:
        return None
    is_extension = "cdylib" in (tree.read_text(MANIFEST) or "")
    return Evidence(Strength.SECONDARY if is_extension else Strength.MANIFEST, MANIFEST)


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    binaries = tuple(each for member in find_members(tree) for each in binaries_of(tree, member))
    if not binaries and settings.build_command is None:
        raise PlanError(
            "This Rust repository has no binary to build: add src/main.rs or a [[bin]] to Cargo.toml, "
            "or set build_command."
        )
    version, source, warnings = choose_version(tree)
    start = choose_start(tree, settings, _offers(binaries))
    build = settings.build_command or _build_command(tree)
    needed = system_crates(tree)
    return BuildPlan(
        runtime="rust",
        version=version,
        version_source=source,
        package_manager="cargo",
        install_command=settings.install_command,
        build_command=build,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(
            f"Rust {version}: {source}.",
            f"Builds every binary: {', '.join(each.name for each in binaries) or 'none found'}.",
            *layout.system_reasons(tree),
            *(f"Debian packages for the crate {crate}: {', '.join(SYSTEM[crate][1])}." for crate in needed),
            start.reason,
        ),
        warnings=(*warnings, *start.warnings),
        stages=_stages(tree, version, settings.install_command, build, binaries, needed),
    )


def choose_version(tree: SourceTree) -> tuple[str, str, tuple[str, ...]]:
    """Return the release of the base image, who asks for it, and what is amiss.

    The images bring rustup, which fetches a channel that is no release when cargo is called.
    """
    asked = [*_toolchain(tree), *tool_pins(tree, ("rust",))]
    if not asked:
        return NEWEST, "the newest, as nothing asks for another", ()
    source, text = asked[0]
    if is_latest(text):
        return NEWEST, f"the newest, as {source} asks for {text}", ()
    if text.startswith(("nightly", "beta")):
        return NEWEST, f"{source} asks for {text}, which rustup fetches", ()
    line = parse_line(text, 2)
    if line is None:
        raise PlanError(f"{source} {text!r} is not a Rust version such as 1.85 or stable.")
    is_exact = re.fullmatch(r"\d+\.\d+\.\d+", text) is not None
    others = [each for each in asked[1:] if not is_latest(each[1]) and parse_line(each[1], 2) != line]
    warnings = tuple(
        f"{source} says {text}, but {where} says {other}: {source} counts." for where, other in others
    )
    return text if is_exact else dotted(line), source, warnings


def _toolchain(tree: SourceTree) -> Iterator[tuple[str, str]]:
    for file in TOOLCHAINS:
        if file not in tree.root_files:
            continue
        text = tree.read_text(file) or ""
        channel = (
            _table(read_toml(tree, file), "toolchain").get("channel")
            if "[" in text
            else first_line(tree, file)
        )
        if isinstance(channel, str) and channel:
            yield file, channel


def find_members(tree: SourceTree) -> tuple[Member, ...]:
    """Return the root's own package and those of its workspace, in the order of their directories."""
    root = read_toml(tree, MANIFEST)
    workspace = _table(root, "workspace")
    patterns, left_out = (_texts(workspace.get(key)) for key in ("members", "exclude"))
    found = [Member("", root)] if "package" in root else []
    if not patterns:
        return tuple(found)
    left = {directory for each in left_out for directory in _directories(tree, each)}
    for directory in sorted({each for pattern in patterns for each in _directories(tree, pattern)} - left):
        found.append(Member(directory, read_toml(tree, f"{directory}/{MANIFEST}")))
    return tuple(found)


def _directories(tree: SourceTree, pattern: str) -> Iterator[str]:
    """Yield the directories with a package that a pattern such as `crates/*` means."""
    for path in tree.glob(f"{pattern.removeprefix('./').rstrip('/')}/{MANIFEST}"):
        yield path.removesuffix(f"/{MANIFEST}")


def binaries_of(tree: SourceTree, member: Member) -> Iterator[Binary]:
    """Yield what cargo finds: what the manifest declares, src/main.rs, and each of src/bin."""
    package = _table(member.manifest, "package")
    below = f"{member.directory}/" if member.directory else ""
    declared = [each for each in _tables(member.manifest.get("bin")) if isinstance(each.get("name"), str)]
    names = [
        each["name"] for each in declared if not each.get("required-features")
    ]  # which are not built by default
    if package.get("autobins") is not False:
        paths = {f"{below}{each.get('path', '')}" for each in declared}
        names += [name for name, path in _found(tree, member.name, f"{below}src") if path not in paths]
    used = member.manifest.get("dependencies")
    server = next((each for each in SERVERS if isinstance(used, dict) and each in used), "")
    for name in dict.fromkeys(names):
        is_default = name == package.get("default-run")
        yield Binary(name, member.name, is_default, server if name == member.name else "")


def _found(tree: SourceTree, package: str, source: str) -> Iterator[tuple[str, str]]:
    """Yield the names and files of the binaries that no manifest has to declare."""
    if tree.has(f"{source}/main.rs"):
        yield package, f"{source}/main.rs"
    for path in sorted((*tree.glob(f"{source}/bin/*.rs"), *tree.glob(f"{source}/bin/*/main.rs"))):
        yield path.removeprefix(f"{source}/bin/").removesuffix("/main.rs").removesuffix(".rs"), path


def system_crates(tree: SourceTree) -> tuple[str, ...]:
    """Return the crates of Cargo.lock that need a C library of Debian's."""
    locked = set(re.findall(r'^name = "([^"]+)"', tree.read_text("Cargo.lock") or "", re.MULTILINE))
    return tuple(crate for crate in SYSTEM if crate in locked and VENDORED.get(crate) not in locked)


def _offers(binaries: tuple[Binary, ...]) -> Offers:
    ending = [each for each in binaries if not each.server]
    chosen = ending[0] if len(ending) == 1 else next((each for each in ending if each.is_default), None)
    for name in DEFAULT_NAMES:
        chosen = chosen or next((each for each in ending if each.name == name), None)
    option = Option(chosen.name, f"a binary of the package {chosen.package}") if chosen else None
    notes = [f"{each.name} {SERVES_FOR_EVER} ({each.server})" for each in binaries if each.server]
    return Offers(declared=option, notes=notes, processes={each.name: each.name for each in binaries})


def _build_command(tree: SourceTree) -> str:
    locked = " --locked" if "Cargo.lock" in tree.root_files else ""
    return f"cargo build --release --workspace --bins{locked}"


def _stages(
    tree: SourceTree,
    version: str,
    install: str | None,
    build: str,
    binaries: tuple[Binary, ...],
    needed: tuple[str, ...],
) -> tuple[Stage, ...]:
    to_build = [each for crate in needed for each in SYSTEM[crate][0]]
    to_run = [each for crate in needed for each in SYSTEM[crate][1]]
    built = [f"{TARGET}/release/{each.name}" for each in binaries]
    kept = ("mkdir -p /out", join(("cp", *built, "/out/"))) if built else ("mkdir -p /out",)
    steps: list[Instruction] = [
        *layout.system_packages(tree, to_build),
        Workdir("/src"),
        Env({"CARGO_TARGET_DIR": TARGET}),
        Copy((".",), "./"),
        *([Run((install,), caches=CACHES)] if install else []),
        Run((build, *kept), phase="build", caches=CACHES),
    ]
    # Releases before trixie have no images on it; what is built on an older Debian runs on a newer one.
    image = f"rust:{version}-slim-trixie" if version == NEWEST else f"rust:{version}-slim"
    final = layout.stage_of_binaries(layout.system_packages(tree, to_run))
    return Stage(image, tuple(steps), "build"), final


def _table(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _tables(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


RUNTIME = Runtime(
    "rust",
    "Rust",
    evidence,
    plan,
    frozenset({"cargo", "rustc"}),
    signs=(MANIFEST,),
    versions=(f"every one since {NEWEST}.0",),
)
