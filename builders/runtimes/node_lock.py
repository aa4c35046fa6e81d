"""Whether a lock file of npm was made from the package.json beside it: `npm ci` refuses one that was not."""

import re
from collections.abc import Iterator
from typing import Any

from builders.manifests import read_json
from builders.plan import PlanError
from builders.runtimes.node_project import Package
from builders.source import SourceTree
from builders.start import enumerated
from builders.versions import UnreadableVersion, parse_constraint, parse_line

_ELSEWHERE = re.compile(r"[a-z+]+:|\.{0,2}/|[\w.-]+/[\w.-]+")  # a directory, a repository, an alias


def stale_lock(tree: SourceTree, package: Package, lock: str) -> str:
    """Return a sentence about what the lock lacks that package.json asks for; nothing where it has all of it."""
    try:
        data = read_json(tree, lock)
    except PlanError:
        return ""  # npm says it better
    if not isinstance(data, dict) or "lockfileVersion" not in data:
        return ""
    lacking = list(_lacking(package, data))
    if not lacking:
        return ""
    return (
        f"{lock} has no {enumerated(lacking)} as package.json asks for: npm install is used instead of npm ci, and "
        f"each build may install other versions. Run npm install and commit {lock}."
    )


def _lacking(package: Package, lock: dict[str, Any]) -> Iterator[str]:
    for kind in ("d", "devD", "optionalD"):
        for name, wanted in package.table(f"{kind}ependencies").items():
            found = _locked_version(lock, name)
            if found is None or not _allows(str(wanted), found):
                yield f"{name}@{wanted}"


def _locked_version(lock: dict[str, Any], name: str) -> str | None:
    """Return the version of a package, empty for one that is not from a registry; None where the lock has none."""
    packages, dependencies = lock.get("packages"), lock.get("dependencies")
    if isinstance(packages, dict):
        entry = packages.get(f"node_modules/{name}")
    else:
        entry = dependencies.get(name) if isinstance(dependencies, dict) else None
    return str(entry.get("version", "")) if isinstance(entry, dict) else None


def _allows(wanted: str, found: str) -> bool:
    """Return whether the version satisfies the range; what can't be read is npm's to judge."""
    version = parse_line(found, 3)
    if version is None or _ELSEWHERE.match(wanted) or re.search(r"\d-|[a-z]{2}", wanted):
        return True
    try:
        return parse_constraint(wanted or "*").allows((version[0], version[1], version[2]))
    except UnreadableVersion:
        return True
