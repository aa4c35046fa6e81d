"""`python -m builders plan PATH [--json]` and `python -m builders dockerfile PATH`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from builders.describe import describe
from builders.detect import make_plan
from builders.plan import PlanError
from builders.render import render_dockerfile
from builders.source import SourceTree


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a sentence on standard error when there is no plan."""
    arguments = _parser().parse_args(argv)
    if not arguments.path.is_dir():
        print(f"{arguments.path} is not a directory.", file=sys.stderr)
        return 1
    try:
        plan = make_plan(SourceTree(arguments.path))
    except PlanError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.command == "dockerfile":
        print(render_dockerfile(plan), end="")
    elif arguments.json:
        print(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
    else:
        print(describe(plan), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="builders", description="What would be built from a source tree, and why."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_ in (("plan", "print the plan"), ("dockerfile", "print the Dockerfile")):
        command = commands.add_parser(name, help=help_)
        command.add_argument("path", type=Path, metavar="PATH", help="a checked-out repository")
        if name == "plan":
            command.add_argument("--json", action="store_true", help="as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
