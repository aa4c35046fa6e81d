"""What would be built from a source tree, without a server: the plan, and the Dockerfile."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JsonOption, add_command
from app.domain.errors import InvalidValue, UserError

if TYPE_CHECKING:
    from builders.plan import BuildPlan, BuildSettings
    from builders.source import SourceTree

TRANSPORTS = frozenset({"https", "http", "ssh", "file"})
PathArgument = Annotated[
    str, typer.Argument(metavar="PATH", help="A checked-out repository, or its Git URL.")
]
BranchOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of a Git URL; its default branch if left out.")
]
ModeOption = Annotated[
    str, typer.Option(metavar="NAME", help="auto, dockerfile, or a language such as python.")
]
RootOption = Annotated[str, typer.Option(metavar="DIR", help="Where to look, from the repository's root.")]
DockerfileOption = Annotated[str, typer.Option(metavar="PATH", help="From the repository's root.")]
TargetOption = Annotated[str | None, typer.Option(metavar="STAGE", help="Of the Dockerfile.")]
InstallOption = Annotated[
    str | None, typer.Option(metavar="COMMAND", help="Instead of the one that is found.")
]
BuildOption = Annotated[str | None, typer.Option(metavar="COMMAND", help="Instead of the one that is found.")]
RunOption = Annotated[str | None, typer.Option(metavar="COMMAND", help="Instead of the one that is found.")]
WriteOption = Annotated[
    bool, typer.Option("--write", help="Write Dockerfile and .dockerignore, where there are none.")
]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Say what else it could be built as.")]


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "plan",
        plan,
        "jobyard plan .",
        "jobyard plan ~/src/report --json",
        "jobyard plan https://github.com/acme/report --explain",
        "jobyard plan . --root-directory /jobs --run-command 'python sync.py'",
    )
    add_command(cli, "dockerfile", dockerfile, "jobyard dockerfile .", "jobyard dockerfile . --write")


def plan(
    path: PathArgument,
    branch: BranchOption = None,
    mode: ModeOption = "auto",
    root_directory: RootOption = "/",
    dockerfile: DockerfileOption = "/Dockerfile",
    target: TargetOption = None,
    install_command: InstallOption = None,
    build_command: BuildOption = None,
    run_command: RunOption = None,
    explain: ExplainOption = False,
    json: JsonOption = False,
) -> None:
    """Say what would be built from a source tree, and why.

    The options are those of a job's build. Where nothing says what to run, the rest is printed all the same, with the
    candidates; the exit status is 1 then.
    """
    from builders.describe import describe

    settings = _settings(
        mode, root_directory, dockerfile, target, install_command, build_command, run_command
    )
    with _tree(path, branch) as tree:
        found, problem = _plan(tree, settings)
        choices = _choices(tree, settings) if explain else {}
    if json:
        print(jsonlib.dumps({**found.to_json(), **choices}, indent=2, ensure_ascii=False))
    else:
        print(describe(found), end="")
        for name, rows in choices.items():
            print(f"\n{name.replace('_', ' ').capitalize()}:")
            print("\n".join(f"  {row[0]:<14} {row[1]}" for row in rows) or "  nothing else")
    if problem:
        raise UserError(problem)


def dockerfile(path: PathArgument, write: WriteOption = False, json: JsonOption = False) -> None:
    """Print the Dockerfile that a source tree would be built with, or write it there, with its ignore file.

    Only the ignore file keeps `.git`, `.env` and keys out of an image that is built from the Dockerfile by hand.
    """
    from builders.plan import BuildSettings
    from builders.render import DOCKERIGNORE, render_dockerfile

    with _tree(path, None) as tree:
        found, problem = _plan(tree, BuildSettings())
        if problem:
            raise UserError(problem)
        context = tree.subtree(found.root_directory) or tree
        own = found.dockerignore_text or context.read_text(".dockerignore")
    files = {"Dockerfile": render_dockerfile(found), ".dockerignore": DOCKERIGNORE if own is None else own}
    if write:
        _write(path, found, context.root, files if own is None else {"Dockerfile": files["Dockerfile"]})
    elif json:
        print(jsonlib.dumps({"dockerfile": files["Dockerfile"], "dockerignore": files[".dockerignore"]}))
    else:
        print(files["Dockerfile"], end="")


def _write(path: str, plan: BuildPlan, directory: Path, files: dict[str, str]) -> None:
    """Write files that aren't there yet. Raises UserError."""
    if plan.dockerfile_path is not None:
        raise UserError(f"{path} has a Dockerfile already: {plan.dockerfile_path}.")
    if _is_url(path):
        raise UserError("--write needs a checked-out repository, not a Git URL.")
    for name, text in files.items():
        try:
            with (directory / name).open("x") as file:
                file.write(text)
        except OSError as error:
            raise UserError(f"{directory / name} can't be written: {error.strerror}.") from error
        print(f"Wrote {directory / name}.")


def _settings(
    mode: str, root: str, dockerfile: str, target: str | None, *commands: str | None
) -> BuildSettings:
    from typing import get_args

    from builders.plan import BuildSettings, Mode

    known: tuple[Any, ...] = get_args(Mode)
    if mode not in known:
        raise InvalidValue("mode", f"--mode must be one of {', '.join(known)}, not {mode!r}.")
    install, build, run = commands
    return BuildSettings(mode, root, dockerfile, target, install, build, run)  # type: ignore[arg-type]


def _is_url(path: str) -> bool:
    return re.match(r"[\w+]+://|[\w.-]+@[\w.-]+:", path) is not None


@contextmanager
def _tree(path: str, branch: str | None) -> Iterator[SourceTree]:
    """Yield the tree of a directory, or of a branch of a repository that is fetched for the while."""
    from builders.source import SourceTree

    if _is_url(path):
        with TemporaryDirectory(prefix="jobyard-plan-") as root, _fetched(path, branch, Path(root)) as files:
            yield SourceTree(files)
        return
    if branch is not None:
        raise UserError(f"--branch is of a Git URL, and {path} is none.")
    if not Path(path).is_dir():
        raise UserError(f"{path} is not a directory.")
    yield SourceTree(Path(path))


@contextmanager
def _fetched(url: str, branch: str | None, root: Path) -> Iterator[Path]:
    from app.checkout.checkouts import Checkouts

    checkouts = Checkouts(root, TRANSPORTS)
    name = branch or next(iter(checkouts.branches_of(url)), None)
    if name is None:
        raise UserError(f"{url} has no branch yet.")
    sha = checkouts.fetch(url, sha=None, ref=name)
    with checkouts.tree(url, sha) as files:
        yield files


def _plan(tree: SourceTree, settings: BuildSettings) -> tuple[BuildPlan, str]:
    """Return the plan, and what is missing where nothing says what to run. Raises UserError where there is no plan."""
    from dataclasses import replace

    from builders.detect import make_plan
    from builders.plan import NoStartCommand, PlanError

    try:
        try:
            return make_plan(tree, settings), ""
        except NoStartCommand as error:
            return make_plan(tree, replace(settings, start_required=False)), str(error)
    except PlanError as error:
        raise UserError(str(error)) from error


def _choices(tree: SourceTree, settings: BuildSettings) -> dict[str, list[tuple[str, str]]]:
    from builders.detect import find_choices

    found = find_choices(tree, settings)
    return {"could_be_built_as": list(found.types), "directories": list(found.directories)}
