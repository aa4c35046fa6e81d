"""What a build can't see of a repository: what `.dockerignore` leaves out, and what was never fetched."""

import configparser
import posixpath
import re
import shlex
from collections.abc import Iterator

from builders.backends.ignoring import Ignore
from builders.instructions import Copy
from builders.plan import BuildPlan, PlanError
from builders.source import SourceTree
from builders.wildcards import TooMuchWork

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\n"
_SECRET = re.compile(r"(?:.*/)?(?:\.env(?:\.[^/]*)?|[^/]*\.(?:key|pem))")
WITHOUT_SECRETS = (".example", ".sample", ".template", ".dist")
IGNORED_BY_DEFAULT = (
    "There is no .dockerignore: .git, .env files, keys (*.pem, *.key), "
    "virtual environments and node_modules stay out."
)
NAMED = 3  # of the files that a sentence is about


def refuse_left_out(tree: SourceTree, plan: BuildPlan) -> None:
    """Raise PlanError for a file that the plan needs and the context's ignore file leaves out.

    An ignore file that is too much work to match is left to the build, which says so or manages it.
    """
    for path, needed_by in _left_out(tree, plan):
        raise PlanError(
            f".dockerignore leaves {path} out of the build, but {needed_by} needs it: take it out of .dockerignore."
        )


def _left_out(tree: SourceTree, plan: BuildPlan) -> Iterator[tuple[str, str]]:
    try:
        ignore = Ignore.parse(tree.read_text(".dockerignore") or "")
        yield from (each for each in _needed(tree, plan) if ignore.leaves_out(each[0]))
    except TooMuchWork:
        return


def _needed(tree: SourceTree, plan: BuildPlan) -> Iterator[tuple[str, str]]:
    """Return the files that commands and copies name, each with what names it."""
    for command in (plan.install_command, plan.build_command, plan.run_command, shlex.join(plan.command)):
        for path in _files_of(tree, command or ""):
            yield path, f"`{command}`"
    for stage in plan.stages:
        for step in stage.steps:
            if isinstance(step, Copy) and step.stage is None:
                yield from ((path, "the build") for path in step.sources if tree.has(path))


def _files_of(tree: SourceTree, command: str) -> Iterator[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        return
    for before, word in zip(["", *words], words, strict=False):
        module = word.replace(".", "/")
        forms = (f"{module}.py", f"{module}/__main__.py") if before == "-m" else (word.removeprefix("/app/"),)
        for form in forms:
            path = posixpath.normpath(form)
            if not path.startswith(("/", "..")) and tree.has(path):
                yield path


def secrets_left_out(tree: SourceTree) -> Iterator[str]:
    """Return a sentence on the files of a context without an ignore file that the default one takes for secrets."""
    named = [path for path in tree.files() if _SECRET.fullmatch(path) and not path.endswith(WITHOUT_SECRETS)]
    if named:
        those = "it may hold a secret" if len(named) == 1 else "they may hold secrets"
        yield f"Not in the image, as {those}: {_listed(named)}. A .dockerignore of your own decides otherwise."


def unfetched(tree: SourceTree) -> Iterator[str]:
    """Return a sentence for submodules that are empty, and one for LFS files that are their pointers."""
    submodules = [path for path in _submodules(tree) if _is_empty(tree, path)]
    if submodules:
        are = "Submodules {} are" if len(submodules) > 1 else "Submodule {} is"
        yield f"{are.format(_listed(submodules))} not fetched: set source.git.submodules."
    if pointers := _pointers(tree):
        are = (
            f"{len(pointers)} files are Git LFS pointers"
            if len(pointers) > 1
            else "One file is a Git LFS pointer"
        )
        yield f"{are} ({_listed(pointers)}), not what they stand for: set source.git.lfs."


def _submodules(tree: SourceTree) -> list[str]:
    parser = configparser.RawConfigParser(
        strict=False, allow_no_value=True, delimiters=("=",), interpolation=None
    )
    lines = (line.strip() for line in (tree.read_text(".gitmodules") or "").splitlines())
    try:
        parser.read_string("\n".join(lines))
    except configparser.Error:
        return []
    paths = (parser.get(section, "path", fallback=None) for section in parser.sections())
    return sorted({path.strip('"') for path in paths if path})


def _is_empty(tree: SourceTree, path: str) -> bool:
    inner = tree.subtree(path)
    return inner is not None and not inner.files() and not inner.directories


def _pointers(tree: SourceTree) -> list[str]:
    """Return the LFS pointers; where no attribute says that there are any, nothing is opened."""
    attributes = (tree.read_head(path) or "" for path in tree.glob("**/.gitattributes"))
    if not any("filter=lfs" in text for text in attributes):
        return []
    return [path for path in tree.files() if (tree.read_head(path) or "").startswith(LFS_POINTER)]


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(paths[:NAMED]) + more
