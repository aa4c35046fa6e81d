"""The repository's own Dockerfile: used as it is, once it is found and its target exists."""

import json
import re
from dataclasses import dataclass, replace

from builders.commands import exec_form, join
from builders.manifests import Unreadable
from builders.plan import BuildPlan, BuildSettings, PlanError
from builders.procfile import parse_procfile
from builders.source import SourceTree

DEFAULT = BuildSettings.dockerfile
NAMES = ("Dockerfile", "Containerfile")


@dataclass(frozen=True)
class DockerStage:
    name: str
    base: str
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        return self.entrypoint + self.arguments


def find_dockerfile(tree: SourceTree, settings: BuildSettings) -> str | None:
    """Return its path from the repository's root, or None if there is none and none was asked for, or a
    runtime is to be used whatever there is.

    The default is looked for below the root directory, any other path from the repository's root first. Raises
    PlanError for one that was named and isn't there.
    """
    if settings.mode not in ("auto", "dockerfile"):
        return None
    root = settings.root_directory.strip("/")
    below = f"{root}/" if root not in ("", ".") else ""
    named = settings.dockerfile.lstrip("/")
    is_default = settings.dockerfile == DEFAULT
    paths = [below + name for name in NAMES] if is_default else [named, below + named]
    found = next((path for path in paths if tree.has(path)), None)
    if found is None and (settings.mode == "dockerfile" or not is_default):
        raise PlanError(
            f"There is no Dockerfile at /{paths[0]} (a link that leaves the repository doesn't count). "
            "Add it, or set dockerfile to its path."
        )
    return found


def plan_dockerfile(tree: SourceTree, settings: BuildSettings, path: str) -> BuildPlan:
    """Plan a build by the repository's Dockerfile. Raises PlanError if it has no FROM, or not the target that was
    asked for.
    """
    text = tree.read_text(path) or ""
    stages = read_stages(text)
    if not stages:
        raise PlanError(f"{path} has no FROM line, so it describes no image.")
    stage = _target(stages, settings.target, path)
    try:
        command = exec_form(settings.run_command) if settings.run_command else ()
    except ValueError as error:
        raise PlanError(f"run_command: {error}") from error
    shown = settings.run_command or (join(stage.command) if stage.command else None)
    source = "the run command of the settings" if settings.run_command else f"CMD or ENTRYPOINT of {path}"
    context = settings.root_directory.strip("/")
    beside = tree.read_text(f"{path}.dockerignore")
    return BuildPlan(
        runtime="dockerfile",
        run_command=shown,
        command=command,
        processes=parse_procfile(tree.read_text(f"{context}/Procfile") or ""),
        reasons=(
            f"Builds the repository's own {path}.",
            *((f"Stops at its stage {settings.target!r}.",) if settings.target else ()),
            f"Runs {shown!r}: {source}." if shown else f"Runs what the image {stage.base} runs.",
        ),
        warnings=_warnings(text, settings),
        dockerfile_path=path,
        dockerfile_text=text,
        dockerignore_text=beside,
        target=settings.target,
    )


def read_stages(text: str) -> tuple[DockerStage, ...]:
    """Return the stages with their names, bases, and the command of each, as far as it is written there."""
    stages: list[DockerStage] = []
    for instruction, rest in _instructions(text):
        if instruction == "FROM":
            words = [word for word in rest.split() if not word.startswith("--")]
            name = words[2] if len(words) > 2 and words[1].upper() == "AS" else ""
            stages.append(DockerStage(name, words[0] if words else ""))
        elif instruction in ("CMD", "ENTRYPOINT") and stages:
            is_entry = instruction == "ENTRYPOINT"
            stages[-1] = (
                replace(stages[-1], entrypoint=_argv(rest))
                if is_entry
                else replace(stages[-1], arguments=_argv(rest))
            )
    return tuple(stages)


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\[ \t]*\n", " ", lines)
    matches = (re.match(r"\s*([A-Za-z]+)\s+(.*)", line) for line in joined.splitlines())
    return [(match[1].upper(), match[2].strip()) for match in matches if match]


def _argv(text: str) -> tuple[str, ...]:
    try:
        words = json.loads(text)
    except Unreadable:
        words = None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(words)
    return "/bin/sh", "-c", text


def _target(stages: tuple[DockerStage, ...], target: str | None, path: str) -> DockerStage:
    if target is None:
        return stages[-1]
    for number, stage in enumerate(stages):
        if stage.name.lower() == target.lower() or target == str(number):
            return stage
    names = ", ".join(stage.name for stage in stages if stage.name) or "none by name"
    raise PlanError(f"{path} has no stage {target!r} to stop at; it has {names}. Set target to one of them.")


def _warnings(text: str, settings: BuildSettings) -> tuple[str, ...]:
    syntax = re.match(r"#\s*syntax\s*=\s*(\S+)", text.lstrip())
    ignored = [name for name in ("install_command", "build_command") if getattr(settings, name) is not None]
    return (
        *((f"The build fetches its Dockerfile frontend {syntax[1]} from a registry.",) if syntax else ()),
        *((f"{' and '.join(ignored)} left aside: the Dockerfile says how to build.",) if ignored else ()),
    )
