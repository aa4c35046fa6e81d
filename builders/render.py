"""From a plan to the text of a Dockerfile, within what the frontend inside of Docker 20.10 knows."""

import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from builders.instructions import Cache, Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import NAME_OF_USER, USER
from builders.plan import BuildPlan

# Set anew by every commit, so they come as late as possible.
COMMIT_VARIABLES = "JOBYARD_"

# Used when the repository has no ignore file of its own.
DOCKERIGNORE = """\
.git
**/.DS_Store
**/.env
**/.env.*
**/.terraform
**/.venv
**/__pycache__
**/*.pyc
**/node_modules
**/venv
**/*.key
**/*.pem
"""


def render_dockerfile(
    plan: BuildPlan, *, build_env: Sequence[str] = (), build_secrets: Sequence[str] = ()
) -> str:
    """The Dockerfile of a plan, ending in a newline; the repository's own, unchanged, if the plan uses it.

    `build_env` and `build_secrets` name the variables that install and build commands see, as build
    arguments and as secret mounts (the id is the name); the image keeps neither in its environment.
    Raises ValueError for what can't be a variable's name.
    """
    if plan.dockerfile_text is not None:
        return plan.dockerfile_text
    for name in (*build_env, *build_secrets):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(
                f"{name!r} can't be the name of a variable: letters, digits and _ only, no digit first."
            )
    arguments, secrets = tuple(sorted({*build_env} - {*build_secrets})), tuple(sorted({*build_secrets}))
    stages = [_stage(stage, arguments, secrets) for stage in (*plan.stages[:-1], _with_user(plan.stages[-1]))]
    end = f"USER {USER}\nCMD {json.dumps(list(plan.command), ensure_ascii=False)}\n"
    return f"{_header(plan)}\n\n" + "\n\n".join(stages) + f"\n{end}"


def _with_user(stage: Stage) -> Stage:
    """Name the user first, in a layer that no change of the source touches: ssh and libpq refuse one without a name."""
    return replace(stage, steps=(NAME_OF_USER, *stage.steps))


def _header(plan: BuildPlan) -> str:
    lines = ["Made by Jobyard from what the repository says. To take it over, commit it as Dockerfile."]
    notes = [*plan.reasons, *(f"Note: {warning}" for warning in plan.warnings)]
    for note in notes:
        lines += textwrap.wrap(
            _one_line(note), 108, initial_indent="- ", subsequent_indent="  ", break_long_words=False
        )
    return "\n".join(f"# {line}" for line in lines)


def _stage(stage: Stage, arguments: Sequence[str], secrets: Sequence[str]) -> str:
    lines = [f"FROM {stage.base} AS {stage.name}"]
    early = [name for name in arguments if not name.startswith(COMMIT_VARIABLES)]
    late = [name for name in arguments if name.startswith(COMMIT_VARIABLES)]
    for step in stage.steps:
        if isinstance(step, Run) and step.phase != "system":
            lines += [f"ARG {name}" for name in early if name not in step.unseen]
            early = [name for name in early if name in step.unseen]
        if isinstance(step, Run) and step.phase == "build":
            lines += [f"ARG {name}" for name in late]
            late = []
        lines += _instruction(step, secrets)
    return "\n".join(lines)


def _instruction(step: Instruction, secrets: Sequence[str]) -> list[str]:
    match step:
        case Env():
            return [
                "ENV " + " \\\n    ".join(f"{name}={_quoted(value)}" for name, value in step.values.items())
            ]
        case Workdir():
            return [f"WORKDIR {step.path}"]
        case Copy():
            return [*_comment(step.why), _copy(step)]
        case Run():
            return [*_comment(step.why), _run(step, () if step.phase == "system" else secrets)]


def _copy(step: Copy) -> str:
    options = [f"--from={step.stage}"] if step.stage else []
    paths = (*step.sources, step.target)
    plain = not any(re.search(r"\s", path) for path in paths)
    return " ".join(["COPY", *options, " ".join(paths) if plain else json.dumps(list(paths))])


def _run(step: Run, secrets: Sequence[str]) -> str:
    mounts = [_cache_mount(cache) for cache in step.caches]
    mounts += [f"--mount=type=secret,id={name},required=true" for name in secrets]
    exports = [f'export {name}="$(cat /run/secrets/{name})"' for name in secrets]
    commands = [_one_line(command) for command in (*exports, *step.commands)]
    line = " \\\n    "
    return "RUN " + line.join([*mounts, f"{line}&& ".join(commands)])


def _cache_mount(cache: Cache) -> str:
    locked = ",sharing=locked" if cache.locked else ""
    return f"--mount=type=cache,id={cache.id},target={cache.target}{locked}"


def _comment(why: str) -> list[str]:
    return [f"# {why}"] if why else []


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[\w./:$@%+,=-]+", value) else json.dumps(value)


def _one_line(text: str) -> str:
    """Return the command in one line: a line break would begin a new instruction, and the shell takes `;` for it."""
    return "; ".join(filter(None, map(str.strip, text.split("\n"))))
