"""From a tree to a plan: the repository's own Dockerfile, else the runtime with the strongest evidence."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from builders.plan import BuildPlan, BuildSettings, NotRecognised, PlanError
from builders.procfile import parse_procfile
from builders.runtimes import FOREIGN, FOREIGN_ENDINGS, RUNTIMES
from builders.runtimes.base import Evidence, Runtime, Strength
from builders.runtimes.dockerfile import find_dockerfile, plan_dockerfile
from builders.runtimes.procfile import RUNTIME as PROCFILE
from builders.source import SourceTree

MARKERS = ("requirements.txt", "pyproject.toml", "package.json", "go.mod", "Procfile", "Dockerfile")
LOOKED_FOR = "a Dockerfile, a manifest of Python, Node.js or Go, a shell script or a Procfile"
ASIDE = frozenset(
    ["docs", "doc", "test", "tests", "examples", "example", ".github", ".devcontainer", ".circleci"]
)
LEVELS = 3


@dataclass(frozen=True)
class Candidate:
    runtime: Runtime
    evidence: Evidence


def make_plan(tree: SourceTree, settings: BuildSettings = BuildSettings()) -> BuildPlan:  # noqa: B008 - frozen
    """How to build this tree, which is the whole repository; `settings.root_directory` says where to look.

    Raises NotRecognised when nothing says what it is, NoStartCommand when nothing says what to run, and
    PlanError when settings and tree don't fit or the tree contradicts itself.
    """
    if ".." in PurePosixPath(settings.root_directory).parts:
        raise PlanError(
            f"root_directory {settings.root_directory!r} has '..' in it; it starts at the repository's root."
        )
    root = tree.subtree(settings.root_directory)
    if root is None:
        raise PlanError(f"root_directory {settings.root_directory!r} is no directory of the repository.")
    directory = _relative(settings.root_directory)
    dockerfile = find_dockerfile(tree, settings)
    if dockerfile:
        return replace(plan_dockerfile(tree, settings, dockerfile), root_directory=directory)
    if settings.target is not None:
        raise PlanError(
            f"target {settings.target!r} is set, but there is no Dockerfile it could be a stage of."
        )
    return _plan_below(root, settings, directory, LEVELS)


def find_candidates(tree: SourceTree) -> tuple[Candidate, ...]:
    """Every runtime with evidence at the tree's root, the one to use first."""
    found = [Candidate(runtime, evidence) for runtime in RUNTIMES if (evidence := runtime.evidence(tree))]
    return tuple(sorted(found, key=lambda candidate: -candidate.evidence.strength))


def _plan_below(tree: SourceTree, settings: BuildSettings, directory: str, levels: int) -> BuildPlan:
    candidates = find_candidates(tree)
    foreign = _foreign(tree)
    if candidates and not (foreign and candidates[0].evidence.strength < Strength.MANIFEST):
        chosen = _settle(tree, candidates, settings)
        plan = chosen.runtime.plan(tree, settings)
        reasons = (_because(chosen, candidates), *plan.reasons)
        return replace(plan, reasons=reasons, root_directory=directory)
    if foreign:
        raise NotRecognised(
            f"This looks like {foreign[1]} ({foreign[0]}), which has no runtime here yet. Add a Dockerfile."
        )
    below = _components(tree)
    if len(below) > 1:
        raise PlanError(
            f"Several directories can be built: {_listing(below)}. Set root_directory to one of them."
        )
    visible = [name for name in tree.directories if not name.startswith(".") and name not in ASIDE]
    if levels and len(visible) == 1 and not settings.run_command:
        inner = tree.subtree(visible[0])
        if inner is not None and (below or not tree.root_files):
            plan = _plan_below(inner, settings, _relative(f"{directory}/{visible[0]}"), levels - 1)
            reason = f"Looks in {plan.root_directory}/: the root has no other directory with source."
            return replace(plan, reasons=(reason, *plan.reasons)) if levels == LEVELS else plan
    if settings.run_command:
        plan = PROCFILE.plan(tree, settings)
        return replace(plan, root_directory=directory)
    raise NotRecognised(_not_recognised(tree, below))


def _settle(tree: SourceTree, candidates: Sequence[Candidate], settings: BuildSettings) -> Candidate:
    """Among equally strong candidates: the language of the command to run, else the first of the list."""
    strongest = [c for c in candidates if c.evidence.strength == candidates[0].evidence.strength]
    commands = [settings.run_command or "", *parse_procfile(tree.read_text("Procfile") or "").values()]
    for command in commands:
        word = re.match(r"\S*", command.strip())
        named = next((c for c in strongest if word and word[0] in c.runtime.words), None)
        if named:
            return named
    return strongest[0]


def _because(chosen: Candidate, candidates: Sequence[Candidate]) -> str:
    others = [f"{c.runtime.title} ({c.evidence.file})" for c in candidates if c is not chosen]
    aside = f"; also seen: {', '.join(others)}" if others else ""
    return f"{chosen.runtime.title}: {chosen.evidence.file} is at the root{aside}."


def _foreign(tree: SourceTree) -> tuple[str, str] | None:
    for name in tree.root_files:
        language = FOREIGN.get(name) or FOREIGN_ENDINGS.get(PurePosixPath(name).suffix)
        if language:
            return name, language
    return None


def _components(tree: SourceTree) -> list[tuple[str, Candidate]]:
    """Directories below the root, at most three levels deep, that have a manifest of their own."""
    found: list[tuple[str, Candidate]] = []
    level = [name for name in tree.directories if name not in ASIDE and not name.startswith(".")]
    for _ in range(LEVELS):
        below: list[str] = []
        for path in level:
            inner = tree.subtree(path)
            candidates = find_candidates(inner) if inner else ()
            if candidates and candidates[0].evidence.strength == Strength.MANIFEST:
                found.append((path, candidates[0]))
            elif inner:
                below += [f"{path}/{name}" for name in inner.directories if name not in ASIDE]
        level = below
    return found


def _listing(components: Sequence[tuple[str, Candidate]]) -> str:
    return ", ".join(f"/{path} ({c.runtime.title}: {c.evidence.file})" for path, c in components)


def _not_recognised(tree: SourceTree, below: Sequence[tuple[str, Candidate]]) -> str:
    fix = "Add a Dockerfile or set run_command."
    if below:
        return (
            f"Nothing to build at the root, but {_listing(below)} is there: set root_directory to it. {fix}"
        )
    near = next((f"{name} looks like {m}" for name in tree.root_files for m in _similar(name)), None)
    sole = [*tree.root_files[:5], *(f"{name}/" for name in tree.directories[:5])]
    found = near or (f"found {', '.join(sole)}" if sole else "the directory is empty")
    return f"Nothing here says how to build this: looked for {LOOKED_FOR}; {found}. {fix}"


def _similar(name: str) -> list[str]:
    lowered = {marker.lower(): marker for marker in MARKERS}
    return [lowered[close] for close in difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.85)]


def _relative(path: str) -> str:
    return str(PurePosixPath(path.lstrip("/") or "."))
