"""What every generated image has in common, whatever the language."""

import re
from collections.abc import Sequence

from builders.instructions import Copy, Env, Instruction, Run, Stage, Workdir
from builders.plan import PlanError
from builders.source import SourceTree

WORKDIR = "/app"
SMALL_IMAGE = "debian:trixie-slim"
USER = "10001:10001"
_GROUP = USER.partition(":")[2]
HOME = "/tmp"  # noqa: S108 - inside the image: writable for any user, also with a read-only root
NAME_OF_USER = Run(
    (
        f"echo 'job:x:{USER}::{HOME}:/bin/sh' >> /etc/passwd",
        f"echo 'job:x:{_GROUP}:' >> /etc/group",
    ),
    phase="system",
    why="The job's user has a name, which ssh and others ask for.",
)
WHY_FIRST = "What names the dependencies, first: it seldom changes."
WHY_BUILT = "The source and what the build made of it."
WHY_LAST = "The source last: changing it leaves the layers above cached."
APT_FILES = ("apt.txt", "Aptfile")

# `--no-install-recommends` and no lists left behind: nothing in the image that wasn't asked for.
_APT_INSTALL = "apt-get install -y --no-install-recommends"


def apt_packages(tree: SourceTree) -> tuple[str, tuple[str, ...]] | None:
    """Return the file that lists Debian packages, one a line, and what it lists; None if there is none."""
    file = next((name for name in APT_FILES if name in tree.root_files), None)
    if file is None:
        return None
    words = [line.partition("#")[0].strip() for line in (tree.read_text(file) or "").splitlines()]
    packages = tuple(dict.fromkeys(word for word in words if word))
    for package in packages:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+(=[A-Za-z0-9.+:~-]+)?", package):
            raise PlanError(f"{file}: {package!r} is not the name of a Debian package.")
    return (file, packages) if packages else None


def system_packages(tree: SourceTree, needed: Sequence[str] = ()) -> tuple[Instruction, ...]:
    """Return the step that installs what a file lists, and what the packages of a language need."""
    file, listed = apt_packages(tree) or ("", ())
    packages = dict.fromkeys((*listed, *needed))
    if not packages:
        return ()
    why = " and ".join(
        (*((f"from {file}",) if file else ()), *(("for the packages installed",) if needed else ()))
    )
    install = f"{_APT_INSTALL} {' '.join(packages)}"
    return (
        Run(
            ("apt-get update", install, "rm -rf /var/lib/apt/lists/*"),
            phase="system",
            why=f"{why[0].upper()}{why[1:]}.",
        ),
    )


def system_reasons(tree: SourceTree) -> tuple[str, ...]:
    found = apt_packages(tree)
    return (f"Debian packages: {', '.join(found[1])} ({found[0]}).",) if found else ()


def stage_of_binaries(system: Sequence[Instruction], *, with_source: bool = True) -> Stage:
    """Return a small image with the programs that the build has left in /out, which need no toolchain to run.

    Without the source it has an empty working directory.
    """
    certificates = "/etc/ssl/certs/ca-certificates.crt"  # which the small image lacks, and TLS needs
    return Stage(
        SMALL_IMAGE,
        (
            *system,
            Env({"HOME": HOME}),
            Copy((certificates,), certificates, stage="build"),
            Copy(("/out/",), "/usr/local/bin/", stage="build"),
            *((source_from_context(),) if with_source else ()),
            Workdir(WORKDIR),
        ),
    )


def source_from_context() -> Copy:
    return Copy(
        (".",),
        f"{WORKDIR}/",
        why=WHY_LAST,
    )


def writable(*directories: str) -> tuple[Instruction, ...]:
    """Return the step that lets a job write to directories of its source, as its framework does; all else is root's."""
    if not directories:
        return ()
    names = " ".join(directories)
    commands = (f"mkdir -p {names}", f"chmod -R a+rwX {names}")
    return (Run(commands, phase="system", why="Where the framework writes while a job runs."),)


def source_from_build() -> Copy:
    return Copy((WORKDIR,), WORKDIR, stage="build", why=WHY_BUILT)
