"""From a tree to a plan: the repository's own Dockerfile, else the runtime with the strongest evidence."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from builders.omitted import IGNORED_BY_DEFAULT, refuse_left_out, secrets_left_out, unfetched
from builders.plan import BuildPlan, BuildSettings, NotRecognised, PlanError
from builders.procfile import parse_procfile
from builders.runtimes import BACK_ENDS, FOREIGN, LOOSE, RUNTIMES
from builders.runtimes.base import Evidence, Runtime, Strength
from builders.runtimes.dockerfile import find_dockerfile, plan_dockerfile
from builders.runtimes.node import RUNTIME as NODE
from builders.runtimes.procfile import RUNTIME as PROCFILE
from builders.source import SourceTree

MARKERS = (
    "requirements.txt",
    "pyproject.toml",
    "package.json",
    "go.mod",
    "Cargo.toml",
    "Gemfile",
    "pom.xml",
    "composer.json",
    "Procfile",
    "Dockerfile",
)
LOOKED_FOR = (
    "a Dockerfile, a manifest of Python, Node, Go, Java, PHP, Ruby, Rust or CMake, a shell script, a Procfile"
)
ASIDE = frozenset(["docs", "doc", "test", "tests", "examples", "example"])
LEVELS = 3
STATIC = "index.html"
COMPARED = 200  # names at the root that may be misspelt markers


@dataclass(frozen=True)
class Candidate:
    runtime: Runtime
    evidence: Evidence


def make_plan(tree: SourceTree, settings: BuildSettings = BuildSettings()) -> BuildPlan:  # noqa: B008 - frozen
    """Plan how to build this tree, which is the whole repository; `settings.root_directory` says where to look.

    Raises NotRecognised when nothing says what it is, NoStartCommand when nothing says what to run, and PlanError
    when settings and tree don't fit or the tree contradicts itself.
    """
    plan = _plan(tree, settings)
    context = tree.subtree(plan.root_directory)
    if context is not None and plan.dockerfile_path is None:
        refuse_left_out(context, plan)
        if not context.has(".dockerignore"):
            reasons = (*plan.reasons, IGNORED_BY_DEFAULT)
            plan = replace(plan, reasons=reasons, warnings=(*plan.warnings, *secrets_left_out(context)))
    return replace(plan, warnings=(*plan.warnings, *unfetched(tree)))


def _plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
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
    return _plan_below(tree, root, settings, directory, LEVELS)


def find_candidates(tree: SourceTree) -> tuple[Candidate, ...]:
    """Return every runtime with evidence at the tree's root, the one to use first."""
    found = [Candidate(runtime, evidence) for runtime in RUNTIMES if (evidence := runtime.evidence(tree))]
    return tuple(sorted(found, key=lambda candidate: -candidate.evidence.strength))


@dataclass(frozen=True)
class Choices:
    """What a repository could be built as.

    `types` are modes with a file that speaks for each, the one that a look at the tree takes first; `directories` are
    those with a manifest of their own, each with what it says, where the root has none.
    """

    types: tuple[tuple[str, str], ...]
    directories: tuple[tuple[str, str], ...]


def find_choices(tree: SourceTree, settings: BuildSettings = BuildSettings()) -> Choices:  # noqa: B008 - frozen
    """Return what could be set instead of leaving it to detection. Raises nothing for what can't be built."""
    try:
        dockerfile = find_dockerfile(tree, replace(settings, mode="auto"))
    except PlanError:
        dockerfile = None
    root = tree.subtree(settings.root_directory)
    candidates = find_candidates(root) if root else ()
    types = [("dockerfile", dockerfile)] if dockerfile else []
    types += [(each.runtime.name, each.evidence.file) for each in candidates]
    has_manifest = any(each.evidence.strength == Strength.MANIFEST for each in candidates)
    inner = () if dockerfile or has_manifest else _components(tree)
    return Choices(
        tuple(types),
        tuple((f"/{path}", f"{each.runtime.title}: {each.evidence.file}") for path, each in inner),
    )


def _plan_below(
    repository: SourceTree, tree: SourceTree, settings: BuildSettings, directory: str, levels: int
) -> BuildPlan:
    candidates = find_candidates(tree)
    if settings.mode not in ("auto", "dockerfile"):
        candidates = tuple(each for each in candidates if each.runtime.name == settings.mode)
        if not candidates:
            raise PlanError(_without_evidence(tree, settings.mode))
    chosen = _settle(tree, candidates, settings) if candidates else None
    if settings.mode == "auto":
        _refuse_foreign(tree, chosen)
    if chosen:
        plan_member = chosen.runtime.plan_member if directory != "." else None
        member = plan_member(repository, directory, settings) if plan_member else None
        plan = member or replace(chosen.runtime.plan(tree, settings), root_directory=directory)
        return replace(plan, reasons=(_because(chosen, candidates), *plan.reasons))
    if settings.run_command:
        return replace(PROCFILE.plan(tree, settings), root_directory=directory)
    return _descend(repository, tree, settings, directory, levels)


def _without_evidence(tree: SourceTree, mode: str) -> str:
    found = ", ".join(each.runtime.name for each in find_candidates(tree)) or "none"
    return f"mode is {mode}, but no file here is of that runtime (found: {found}). Set mode to auto."


def _descend(
    repository: SourceTree, tree: SourceTree, settings: BuildSettings, directory: str, levels: int
) -> BuildPlan:
    """Go into the only directory with source; with several that could be built, the user has to say which."""
    components = _components(tree)
    if len(components) > 1:
        raise PlanError(
            f"Several directories can be built: {_listing(components)}. Set root_directory to one."
        )
    source = _source_directories(tree)
    inner = tree.subtree(source[0]) if len(source) == 1 and levels else None
    if inner is None:
        raise NotRecognised(_not_recognised(tree, components))
    try:
        plan = _plan_below(repository, inner, settings, _relative(f"{directory}/{source[0]}"), levels - 1)
    except NotRecognised as error:
        raise NotRecognised(_not_recognised(tree, components)) from error
    reason = f"Looks in {source[0]}/: no other directory has source, and nothing at the root says what it is."
    return replace(plan, reasons=(reason, *plan.reasons))


def _settle(tree: SourceTree, candidates: Sequence[Candidate], settings: BuildSettings) -> Candidate:
    """Choose among equally strong candidates: the language of the command to run, else the first of the list."""
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
    return f"{chosen.runtime.title}: found {chosen.evidence.file}{aside}."


def _refuse_foreign(tree: SourceTree, chosen: Candidate | None) -> None:
    """Refuse a manifest of a language without a runtime: it outweighs loose files and a page's package.json."""
    manifest = chosen is not None and chosen.evidence.strength == Strength.MANIFEST
    table = FOREIGN if not manifest else BACK_ENDS if chosen and chosen.runtime is NODE else {}
    for name in tree.root_files:
        language = table.get(name) or table.get(PurePosixPath(name).suffix)
        if language:
            raise NotRecognised(
                f"This looks like {language} ({name}), which has no runtime here yet. Add a Dockerfile."
            )


def _source_directories(tree: SourceTree) -> list[str]:
    return [name for name in tree.directories if not name.startswith(".") and name not in ASIDE]


def _components(tree: SourceTree) -> list[tuple[str, Candidate]]:
    """Return the directories below the root, at most three levels deep, that have a manifest of their own."""
    found: list[tuple[str, Candidate]] = []
    level = _source_directories(tree)
    for _ in range(LEVELS):
        below: list[str] = []
        for path in level:
            inner = tree.subtree(path)
            candidates = find_candidates(inner) if inner else ()
            if candidates and candidates[0].evidence.strength == Strength.MANIFEST:
                found.append((path, candidates[0]))
            elif inner:
                below += [f"{path}/{name}" for name in _source_directories(inner)]
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
    compared = tree.root_files[:COMPARED]
    if language := next(filter(None, map(_loose, compared)), ""):
        return f"{language} {fix}"
    if STATIC in compared:
        return f"This is a static site ({STATIC}): nothing in it runs, and a job serves no pages. {fix}"
    near = next((f"{name} looks like {m}" for name in compared for m in _similar(name)), None)
    sole = [*tree.root_files[:5], *(f"{name}/" for name in tree.directories[:5])]
    found = near or (f"found {', '.join(sole)}" if sole else "the directory is empty")
    return f"Nothing here says how to build this: looked for {LOOKED_FOR}; {found}. {fix}"


def _loose(name: str) -> str:
    language = LOOSE.get(name) or LOOSE.get(PurePosixPath(name).suffix)
    return f"This looks like {language} ({name}), which has no runtime here yet." if language else ""


def _similar(name: str) -> list[str]:
    lowered = {marker.lower(): marker for marker in MARKERS}
    return [lowered[close] for close in difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.85)]


def _relative(path: str) -> str:
    return str(PurePosixPath(path.lstrip("/") or "."))
