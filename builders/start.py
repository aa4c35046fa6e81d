"""What a job runs when it isn't told: declared by the repository, never guessed to be a web server."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from builders.commands import exec_form, join
from builders.plan import BuildSettings, NoStartCommand, PlanError
from builders.procfile import parse_procfile
from builders.source import SourceTree

PROCESS_ORDER = ("job", "cron", "worker")
NEVER_FINISHES = frozenset({"web", "release"})
START_SCRIPTS = ("start.sh", "run.sh", "job.sh", "main.sh", "cron.sh", "entrypoint.sh")
EX_USAGE = 64
MOST_NAMED = 10  # in a sentence


@dataclass(frozen=True)
class Option:
    """A command the repository offers, and where it says so."""

    command: str
    source: str


@dataclass(frozen=True)
class Offers:
    """What one language found: in the order they are tried, then what is only worth naming in a refusal."""

    declared: Option | None = None
    conventional: Option | None = None
    candidates: Sequence[str] = ()
    notes: Sequence[str] = ()  # what is amiss with some of them
    processes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """The image's command; `text` is None if there is none, and `argv` then says so and fails."""

    text: str | None
    argv: tuple[str, ...]
    reason: str
    processes: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def choose_start(tree: SourceTree, settings: BuildSettings, offers: Offers) -> Start:
    """Return the first of: the user's command, Procfile, declared entry points, conventional files, a start script.

    Raises NoStartCommand with the candidates, PlanError for a command that can't be read.
    """
    procfile = parse_procfile(tree.read_text("Procfile") or "")
    processes = {**offers.processes, **procfile}
    options = (
        _from_settings(settings),
        _from_procfile(procfile),
        *(
            None if option is None or _serves(option.command, procfile) else option
            for option in (offers.declared, offers.conventional, _script(tree))
        ),
    )
    option = next((option for option in options if option), None)
    if option is None:
        return _refuse(settings, offers, processes)
    try:
        argv = exec_form(option.command)
    except ValueError as error:
        raise PlanError(f"{option.source}: {error}") from error
    warnings = _web_warnings(procfile, option)
    return Start(option.command, argv, f"Runs {option.command!r}: {option.source}.", processes, warnings)


def script_command(tree: SourceTree, path: str) -> str:
    """Return how to run a script that may lack its executable bit: by the interpreter its first line names."""
    first = (tree.read_head(path) or "").partition("\n")[0]
    words = first.removeprefix("#!").split() if first.startswith("#!") else []
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if word != "-S"]
    interpreter = words[0].rsplit("/", 1)[-1] if words else "sh"
    return join((interpreter, *words[1:], path))


def enumerated(names: Sequence[str]) -> str:
    """Return the first of the names for a sentence, and how many more there are."""
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _from_settings(settings: BuildSettings) -> Option | None:
    return Option(settings.run_command, "the run command of the settings") if settings.run_command else None


def _from_procfile(procfile: Mapping[str, str]) -> Option | None:
    named = next((name for name in PROCESS_ORDER if name in procfile), None)
    finite = [name for name in procfile if name not in NEVER_FINISHES]
    name = named or (finite[0] if len(finite) == 1 else None)
    return Option(procfile[name], f"the process {name!r} of Procfile") if name else None


def _script(tree: SourceTree) -> Option | None:
    path = next((path for path in START_SCRIPTS if path in tree.root_files), None)
    return Option(script_command(tree, path), f"{path} is at the root") if path else None


def _serves(command: str, procfile: Mapping[str, str]) -> bool:
    """Return whether a guess would run what Procfile names as a web process: by the same words, or the same
    program.
    """
    web = procfile.get("web")
    return web is not None and (
        command.split() == web.split() or not _programs(command).isdisjoint(_programs(web))
    )


def _programs(command: str) -> set[str]:
    """Return the files that a command runs, and those of Python's modules that it serves (`app:app`)."""
    files = re.findall(r"(?<![\w=])[\w./-]+\.(?:py|[mc]?[jt]s|sh|rb)\b", command)
    modules = re.findall(r"(?<!\S)([A-Za-z_][\w.]*):[A-Za-z_]\w*", command)
    return {
        *(name.removeprefix("./") for name in files),
        *(f"{each.replace('.', '/')}.py" for each in modules),
    }


def _web_warnings(procfile: Mapping[str, str], chosen: Option) -> tuple[str, ...]:
    if "web" in procfile and procfile["web"] != chosen.command:
        return ("Procfile's process 'web' is left aside: a web process never finishes.",)
    return ()


def _refuse(settings: BuildSettings, offers: Offers, processes: Mapping[str, str]) -> Start:
    found = [f"process {name!r}" for name in processes] + [c for c in offers.candidates if c not in processes]
    listing = f"found {enumerated(found)}" if found else "found no script or entry point to run"
    notes = "".join(f" {each}." for each in offers.notes[:MOST_NAMED])
    sentence = (
        f"No start command: {listing}.{notes} Set run_command, give the job a command, or add a Procfile with "
        "a line 'job: COMMAND'."
    )
    if settings.start_required:
        raise NoStartCommand(sentence)
    argv = ("/bin/sh", "-c", f'echo "$0" >&2; exit {EX_USAGE}', sentence)
    return Start(None, argv, "No start command: jobs have to bring their own.", processes, (sentence,))
