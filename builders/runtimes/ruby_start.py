"""What a Ruby repository offers to run: a default task, a file that a job usually is, the only program."""

from __future__ import annotations

import re

from builders.runtimes.effects import Doing, Effect
from builders.runtimes.ruby_effects import doing_of
from builders.source import SourceTree
from builders.start import Offers, Option, script_command

CONVENTIONAL = ("job.rb", "main.rb", "run.rb", "cron.rb", "worker.rb", "app.rb")
_TOOLING = re.compile(
    r"(?:rspec|spec|test|features|cucumber|rubocop|standard|lint|build|ci|yard|doc\w*|coverage)"
)
_RAILS_OWN = frozenset(
    [
        "rails",
        "rake",
        "bundle",
        "setup",
        "console",
        "dev",
        "spring",
        "yarn",
        "thrust",
        "ci",
        "update",
        "rspec",
    ]
)
_DEFAULT_TASK = re.compile(
    r"^\s*task\s*\(?\s*(?:default:|:default\s*=>|['\"]default['\"]\s*=>)\s*(.+)$", re.MULTILINE
)
_TASK = re.compile(r"^\s*task\s*\(?\s*(?::(\w+)|(\w+):|['\"]([\w:]+)['\"])", re.MULTILINE)


def offers_of(tree: SourceTree, gemfile: str | None) -> Offers:
    """Return what there is to run; a Rails app has nothing that runs by itself."""
    prefix = "bundle exec " if gemfile else ""
    is_rails = tree.has("config/application.rb")
    rakefile = tree.read_text("Rakefile") or ""
    tasks = [] if is_rails else [f"{prefix}rake {name}" for name in _tasks(rakefile)]
    tasks += [
        f"{prefix}rake {name}"
        for path in tree.glob("lib/tasks/*.rake")
        for name in _tasks(tree.read_text(path) or "")
    ]
    programs = [] if is_rails else [*_executables(tree), *tree.glob("*.rb")]
    return Offers(
        declared=None if is_rails else _default_task(rakefile, prefix),
        conventional=None if is_rails else _conventional(tree, prefix),
        candidates=[*tasks, *programs],
        notes=[f"{path} {note}" for path in _looked_at(tree) if (note := _doing(tree, path).note)],
    )


def _tasks(text: str) -> list[str]:
    names = ("".join(found) for found in _TASK.findall(text))
    return [name for name in dict.fromkeys(names) if name != "default" and not _TOOLING.match(name)]


def _default_task(rakefile: str, prefix: str) -> Option | None:
    """Return the default task, unless it is what checks the code."""
    found = _DEFAULT_TASK.search(rakefile)
    needs = re.findall(r"\w+", found[1].partition("#")[0]) if found else []
    if not needs or any(_TOOLING.match(name) for name in needs):
        return None
    return Option(f"{prefix}rake", "Rakefile has a default task")


def _conventional(tree: SourceTree, prefix: str) -> Option | None:
    for path in _looked_at(tree):
        if _doing(tree, path).effect is Effect.RUNS:
            return Option(f"{prefix}ruby {path}", f"{path} is at the root")
    executables = [path for path in _executables(tree) if _doing(tree, path).effect is Effect.RUNS]
    if len(executables) == 1:
        return Option(
            f"{prefix}{script_command(tree, executables[0])}", f"{executables[0]} is the only program"
        )
    return None


def _looked_at(tree: SourceTree) -> list[str]:
    """Return the files that a job usually is; of others the only one."""
    named = [name for name in CONVENTIONAL if name in tree.root_files]
    others = tree.glob("*.rb")
    return named or (list(others) if len(others) == 1 else [])


def _executables(tree: SourceTree) -> list[str]:
    found = [path for folder in ("exe", "bin") for path in tree.glob(f"{folder}/*")]
    return [
        path
        for path in found
        if path.rpartition("/")[2] not in _RAILS_OWN
        and "ruby" in (tree.read_head(path) or "").partition("\n")[0]
    ]


def _doing(tree: SourceTree, path: str) -> Doing:
    return doing_of(tree.read_text(path) or "")
