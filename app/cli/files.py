"""Jobs and the like from a file a person wrote."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.cli.answers import Json


class _Loader(yaml.SafeLoader):
    """Reads YAML as JSON understands it: `on` and `no` are text, so are `2026-01-31` and `12:30`."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_SCALARS = (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:null", r"null|~|", "n~\0"),
    ("tag:yaml.org,2002:int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+", "-0123456789"),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        _tag, re.compile(rf"(?:{_pattern})\Z"), ["" if letter == "\0" else letter for letter in _first]
    )


def read_objects(file: Path, what: str) -> list[Json]:
    """Return each job, or `what` it is, as the API takes it. Raises UserError naming the file and line."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
        documents = list(yaml.load_all(text, _Loader))
    except OSError as error:
        raise UserError(f"{name} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{name} is not YAML: {_complaint(error)}.") from error
    found = [
        each for document in documents for each in (document if isinstance(document, list) else [document])
    ]
    if not found or not all(isinstance(each, dict) for each in found):
        raise UserError(f"{name} must hold a {what} (an object with a name), or a list of {what}s.")
    return found


def _complaint(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error).rstrip(".")
    hint = ""
    if "alias" in f"{error.context} {error.problem}":
        hint = " (a value that begins with * needs quotes)"
    return f"{error.problem or error.context} in line {error.problem_mark.line + 1}{hint}"
