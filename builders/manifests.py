"""Structured files of a repository, read whatever they hold."""

import json
import tomllib
from typing import Any

from builders.plan import PlanError
from builders.source import SourceTree

Unreadable = (ValueError, RecursionError)  # the latter where somebody nested ten thousand lists


def read_json(tree: SourceTree, path: str) -> object:
    """Return the file's value, an empty object without the file. Raises PlanError if it isn't JSON."""
    try:
        return json.loads(tree.read_text(path) or "{}")
    except Unreadable as error:
        raise PlanError(f"{path} is not JSON: {_why(error)}.") from error


def read_toml(tree: SourceTree, path: str) -> dict[str, Any]:
    """Return the file's table, empty without the file. Raises PlanError if it isn't TOML."""
    try:
        return tomllib.loads(tree.read_text(path) or "")
    except Unreadable as error:
        raise PlanError(f"{path} is not TOML: {_why(error)}.") from error


def first_line(tree: SourceTree, path: str) -> str:
    """Return the first line that says something, without its comment; empty where there is none."""
    lines = (line.partition("#")[0].strip() for line in (tree.read_head(path) or "").splitlines())
    return next((line for line in lines if line), "")


def _why(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
