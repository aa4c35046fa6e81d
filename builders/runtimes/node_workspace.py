"""Members of a workspace: what is built is below the directory that has the lock file, and needs all of that."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from builders.runtimes.node_packages import Manager
from builders.runtimes.node_project import Package, read_package
from builders.source import SourceTree

MOST_PATTERNS = 100


@dataclass(frozen=True)
class Workspace:
    """`path` is where it is in the repository, and `member` where the package is in it."""

    tree: SourceTree
    package: Package
    path: str
    member: str


def find_workspace(repository: SourceTree, directory: str) -> Workspace | None:
    """Return the nearest workspace above a directory that names it as its member."""
    inside = PurePosixPath(directory)
    for above in inside.parents:
        tree = repository.subtree(str(above))
        if tree is None:
            continue
        package, member = read_package(tree), str(inside.relative_to(above))
        if _is_member(member, list(_patterns(tree, package))[:MOST_PATTERNS]):
            return Workspace(tree, package, str(above), member)
    return None


def install_command(
    workspace: Workspace, package: Package, manager: Manager, *, locked: bool, development: bool
) -> str:
    """Return how the member and what it needs of the workspace are installed; yarn installs all of it."""
    command = manager.install(locked, development=development)
    match manager.name:
        case "pnpm":
            return f"{command} --filter {shlex.quote(_selector(workspace, package) + '...')}"
        case "npm":
            return f"{command} --workspace {shlex.quote(workspace.member)} --include-workspace-root"
    return command


def build_command(workspace: Workspace, package: Package, manager: Manager) -> str:
    """Return what runs the member's script `build`: with pnpm also those of the packages it needs, which come first."""
    match manager.name:
        case "pnpm":
            return (
                f"pnpm --filter {shlex.quote(_selector(workspace, package) + '...')} run --if-present build"
            )
        case "npm":
            return f"npm run build --workspace {shlex.quote(workspace.member)}"
    return f"cd {shlex.quote(workspace.member)} && {manager.run('build')}"


def _selector(workspace: Workspace, package: Package) -> str:
    name = package.data.get("name")
    return name if isinstance(name, str) and name else f"{{./{workspace.member}}}"


def _patterns(tree: SourceTree, package: Package) -> Iterator[str]:
    """Yield which directories are members, as package.json or pnpm's own file says."""
    listed = package.data.get("workspaces")
    if isinstance(listed, dict):
        listed = listed.get("packages")
    yield from (str(each) for each in listed) if isinstance(listed, list) else ()
    text = tree.read_head("pnpm-workspace.yaml") if "pnpm-workspace.yaml" in tree.root_files else None
    block = re.search(
        r"^packages:[ \t]*(?:#.*)?\n((?:[ \t]*(?:-.*|#.*)?\n)+)", f"{text or ''}\n", re.MULTILINE
    )
    for line in (block[1] if block else "").splitlines():
        item = re.match(r"\s*-\s*(['\"]?)(.*?)\1\s*(?:#.*)?$", line)
        yield from (item[2],) if item else ()


def _is_member(member: str, patterns: list[str]) -> bool:
    parts = PurePosixPath(member).parts
    wanted = [each for each in patterns if not each.startswith("!")]
    refused = [each[1:] for each in patterns if each.startswith("!")]
    return any(_matches(parts, each) for each in wanted) and not any(
        _matches(parts, each) for each in refused
    )


def _matches(parts: tuple[str, ...], pattern: str) -> bool:
    """Match by path segments, in which `**` stands for any number of them, in time that grows with both alone."""
    reached = {0}
    for each in PurePosixPath(pattern).parts:
        if each == "**":
            reached = set(range(min(reached), len(parts) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], each)}
    return len(parts) in reached
