"""What the commands of a job run that only its development dependencies bring."""

import re
from collections.abc import Iterable, Mapping

from builders.plan import NotRecognised
from builders.runtimes.node_project import Package

# Programs whose package is called otherwise.
_PACKAGES: Mapping[str, str] = {
    "tsc": "typescript",
    "nest": "@nestjs/cli",
    "ng": "@angular/cli",
    "dotenv": "dotenv-cli",
    "babel-node": "@babel/node",
    "babel": "@babel/cli",
    "swc": "@swc/cli",
    "swc-node": "@swc-node/register",
    "ts-node-esm": "ts-node",
    "ts-script": "ts-node",
    "tsnd": "ts-node-dev",
    "esr": "esbuild-runner",
    "webpack": "webpack-cli",
    "sequelize": "sequelize-cli",
}
_OTHER_RUNTIMES: Mapping[str, str] = {"bun": "Bun", "bunx": "Bun", "deno": "Deno"}
_WORD = re.compile(r"[\w@./:-]+")
_SCRIPT = re.compile(r"\b(?:npm|pnpm|yarn)\s+(?:(?:run|run-script)\s+)?(?:--?[\w-]+\s+)*([\w:-]+)")


def development_programs(package: Package, commands: Iterable[str]) -> list[str]:
    """Return the names of the packages, in their order; those of scripts that a command runs count as well."""
    kept = {name for kind in ("d", "optionalD", "peerD") for name in package.table(f"{kind}ependencies")}
    only_development = set(package.table("devDependencies")) - kept
    words = {word for command in with_scripts(package.scripts, commands) for word in _WORD.findall(command)}
    named = {_PACKAGES.get(word, word) for word in words} | {_package_of(word) for word in words}
    return sorted(only_development & named)


def refuse_other_runtimes(package: Package, command: str, manager: str) -> None:
    """Raise NotRecognised for a command of a runtime that the image does not have."""
    program = next((word for word in command.split() if "=" not in word), "")
    brought = any(program in package.table(f"{kind}ependencies") for kind in ("d", "devD"))
    name = _OTHER_RUNTIMES.get(program, "")
    if name and name.lower() != manager and not brought:
        raise NotRecognised(
            f"This looks like {name} ('{command}'), which has no runtime here yet. Add a Dockerfile."
        )


def _package_of(word: str) -> str:
    """Return the package of a module: `tsx` for `tsx/esm`, `@scope/name` for `@scope/name/register`."""
    return "/".join(word.split("/")[: 2 if word.startswith("@") else 1])


def with_scripts(scripts: Mapping[str, str], commands: Iterable[str]) -> set[str]:
    """Return the commands and those of the scripts that they call."""
    found: set[str] = set()
    waiting = list(commands)
    while waiting:
        command = waiting.pop()
        if command in found:
            continue
        found.add(command)
        for name in _SCRIPT.findall(command):
            waiting += [scripts[each] for each in (f"pre{name}", name, f"post{name}") if each in scripts]
    return found
