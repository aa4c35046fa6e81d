"""Node's package managers: which one a repository uses, and its commands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from builders.instructions import Cache
from builders.plan import PlanError
from builders.source import SourceTree

NPM_CACHE = Cache("npm", "/root/.npm")
BUN_LOCKS = ("bun.lock", "bun.lockb")
LIFECYCLE = ("preinstall", "install", "postinstall", "prepare")
# Directories that installing may read beside the manifests.
SUPPORTING = ("patches", ".yarn", "prisma")
MANIFESTS = ("package.json", ".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".pnpmfile.cjs")


@dataclass(frozen=True)
class Manager:
    """Commands of one package manager; `tool` installs it, as it isn't in the base image."""

    name: str
    command: str
    locks: tuple[str, ...]
    frozen: str
    unlocked: str
    production: str
    prune: str
    cache: Cache
    tool: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    npm_cache: Cache = NPM_CACHE

    def install(self, locked: bool, *, development: bool) -> str:
        command = self.frozen if locked else self.unlocked
        return command if development else self.production.format(command)

    def run(self, script: str) -> str:
        return f"{self.command} run {script}"


NPM = Manager(
    name="npm",
    command="npm",
    locks=("package-lock.json", "npm-shrinkwrap.json"),
    frozen="npm ci --no-audit --no-fund",
    unlocked="npm install --no-audit --no-fund",
    production="{} --omit=dev",
    prune="npm prune --omit=dev --no-audit --no-fund",
    cache=NPM_CACHE,
)


def _pnpm(version: str) -> Manager:
    store = "/root/.pnpm-store"
    return Manager(
        name="pnpm",
        command="pnpm",
        locks=("pnpm-lock.yaml",),
        frozen=f"pnpm install --frozen-lockfile --prefer-offline --store-dir={store}",
        unlocked=f"pnpm install --no-frozen-lockfile --store-dir={store}",
        production="{} --prod",
        # The files that say when it ran would make each build's node_modules another.
        prune="pnpm prune --prod && rm -f node_modules/.modules.yaml node_modules/.pnpm-workspace-state*.json",
        cache=Cache("pnpm", store),
        tool=f"npm install --global --no-audit --no-fund pnpm@{version}",
        env={"CI": "true"},  # no questions
    )


def _yarn_classic(version: str) -> Manager:
    return Manager(
        name="yarn",
        command="yarn",
        locks=("yarn.lock",),
        frozen="yarn install --frozen-lockfile --non-interactive",
        unlocked="yarn install --no-lockfile --non-interactive",
        production="{} --production",
        prune="yarn install --frozen-lockfile --non-interactive --production --ignore-scripts",
        cache=Cache("yarn", "/usr/local/share/.cache/yarn", locked=True),
        # Forced: Node's own images already have some release of it in this place.
        tool=f"npm install --global --force --no-audit --no-fund yarn@{version}",
    )


def _yarn_berry(version: str) -> Manager:
    return Manager(
        name="yarn",
        command="yarn",
        locks=("yarn.lock",),
        frozen="yarn install --immutable",
        unlocked="yarn install --no-immutable",
        production="{} && yarn workspaces focus --all --production",
        prune="yarn workspaces focus --all --production",
        cache=Cache("yarn-berry", "/root/.yarn/berry"),
        tool=f"npm install --global --force --no-audit --no-fund @yarnpkg/cli-dist@{version}",
        # Plain `node` finds packages in node_modules only.
        env={
            "YARN_NODE_LINKER": "node-modules",
            "YARN_ENABLE_TELEMETRY": "0",
            "YARN_ENABLE_GLOBAL_CACHE": "true",
        },
    )


def _bun(version: str) -> Manager:
    """Bun installs, and runs what is told to by its name; Node.js is beside it for what asks for that."""
    frozen = "bun install --frozen-lockfile"
    return Manager(
        name="bun",
        command="bun",
        locks=BUN_LOCKS,
        frozen=frozen,
        unlocked="bun install --no-save",
        production="{} --production",
        prune=f"rm -rf node_modules && {frozen} --production",
        cache=Cache("bun", "/root/.bun/install/cache"),
        tool=f"npm install --global --no-audit --no-fund bun@{version}",
    )


def choose_manager(tree: SourceTree, package: Mapping[str, Any]) -> tuple[Manager, str, tuple[str, ...]]:
    """Return the manager, why, and warnings: the packageManager field counts, else the lock file, else it is npm."""
    name, version = _package_manager_field(package)
    if name:
        return _named(tree, name, version), "package.json packageManager", _other_locks(tree, name)
    if "pnpm-lock.yaml" in tree.root_files:
        return (
            _pnpm(_pnpm_version(tree, package)),
            "pnpm-lock.yaml is at the root",
            _other_locks(tree, "pnpm"),
        )
    if ".yarnrc.yml" in tree.root_files or "yarn.lock" in tree.root_files:
        return _yarn(tree, ""), "yarn.lock is at the root", _other_locks(tree, "yarn")
    for lock in NPM.locks:
        if lock in tree.root_files:
            return NPM, f"{lock} is at the root", ()
    for lock in BUN_LOCKS:
        if lock in tree.root_files:
            return _bun("1"), f"{lock} is at the root", ()
    script = next((name for name, command in _scripts(package) if re.search(r"\bbunx?\b", command)), None)
    manager, lock, why = NPM, "package-lock.json", "the default, as there is no lock file"
    if script:
        manager, lock, why = _bun("1"), "bun.lock", f"the script {script!r} of package.json runs it"
    missing = f"There is no {lock}: each build may install other versions. Commit one."
    return manager, why, (missing,)


def _scripts(package: Mapping[str, Any]) -> list[tuple[str, str]]:
    scripts = package.get("scripts")
    found = scripts.items() if isinstance(scripts, dict) else ()
    return [(name, command) for name, command in found if isinstance(command, str)]


def lock_first_files(tree: SourceTree, package: Mapping[str, Any], manager: Manager) -> tuple[str, ...]:
    """Return what installing reads, so that it can go before the source; empty if it may read anything.

    Directories end in `/`.
    """
    scripts = package.get("scripts")
    if isinstance(scripts, dict) and any(name in scripts for name in LIFECYCLE):
        return ()
    if (
        "workspaces" in package
        or "pnpm-workspace.yaml" in tree.root_files
        or _has_local_dependencies(package)
    ):
        return ()
    names = [name for name in (*MANIFESTS, *manager.locks) if name in tree.root_files]
    return (*names, *(f"{name}/" for name in SUPPORTING if tree.has_directory(name)))


def _has_local_dependencies(package: Mapping[str, Any]) -> bool:
    tables = (package.get(f"{kind}ependencies") for kind in ("d", "devD", "optionalD"))
    values = (value for table in tables if isinstance(table, dict) for value in table.values())
    return any(
        str(value).startswith(("file:", "link:", "portal:", "workspace:", ".", "/")) for value in values
    )


def _package_manager_field(package: Mapping[str, Any]) -> tuple[str, str]:
    text = package.get("packageManager")
    if not isinstance(text, str):
        return "", ""
    match = re.fullmatch(r"(npm|pnpm|yarn|bun)@([0-9][0-9A-Za-z.-]*)(?:\+[0-9A-Za-z.]+)?", text.strip())
    if not match:
        raise PlanError(
            f"package.json packageManager {text!r} is not NAME@VERSION of npm, pnpm, yarn or bun."
        )
    return match[1], match[2]


def _named(tree: SourceTree, name: str, version: str) -> Manager:
    match name:
        case "pnpm":
            return _pnpm(version)
        case "yarn":
            return _yarn(tree, version)
        case "bun":
            return _bun(version)
    return NPM


def _yarn(tree: SourceTree, version: str) -> Manager:
    berry = ".yarnrc.yml" in tree.root_files or "__metadata:" in (tree.read_head("yarn.lock") or "")
    if version:
        berry = not version.startswith(("0.", "1."))
    return _yarn_berry(version or "4") if berry else _yarn_classic(version or "1.22.22")


def _pnpm_version(tree: SourceTree, package: Mapping[str, Any]) -> str:
    """Return the version of engines.pnpm if it is a plain one, else that of the lock file's format."""
    engines = package.get("engines")
    asked = str(engines.get("pnpm", "")) if isinstance(engines, dict) else ""
    if re.fullmatch(r"\d+(\.\d+){0,2}", asked):
        return asked
    match = re.search(r"^lockfileVersion: '?(\d+\.\d+)", tree.read_head("pnpm-lock.yaml") or "", re.MULTILINE)
    return {"5.3": "6", "5.4": "7", "6.0": "8", "6.1": "8"}.get(match[1] if match else "", "10")


def _other_locks(tree: SourceTree, name: str) -> tuple[str, ...]:
    locks = {
        "pnpm": ("pnpm-lock.yaml",),
        "yarn": ("yarn.lock",),
        "npm": NPM.locks,
        "bun": BUN_LOCKS,
    }
    others = [
        lock
        for manager, files in locks.items()
        if manager != name
        for lock in files
        if lock in tree.root_files
    ]
    return (f"{', '.join(others)} left aside: {name} is used. Remove what is stale.",) if others else ()
