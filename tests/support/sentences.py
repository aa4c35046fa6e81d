"""What tests of sentences share: situations, what is said of them, and the sentences that modules can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text as plain_sql

from app.domain.job.records import Job
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server

A, B, C = (commit(letter) for letter in "abc")
LOGGING = {"debug", "info", "warning", "error", "exception"}
SQL = re.compile(r"\b[A-Z]{3,}\b")
WORD = re.compile(r"[A-Za-z][a-z']*\b")


def said(place: Installation) -> str:
    """By the last decision."""
    return place.decisions()[-1].sentence


def sql(place: Installation, statement: str) -> None:
    with place.db.write() as tx:
        tx.connection().execute(plain_sql(statement))


def built(place: Installation, server: Server, **job: Any) -> Job:
    """A job and the build of a push, ended and decided about; nothing that it starts is run yet."""
    made = place.job(**job)
    place.push(A, B)
    server.intake.step()
    server.builder.step()
    return made


def pieces_of(node: ast.AST) -> list[str]:
    """The constant parts of a text, without what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        text = node.value if isinstance(node.value, str) else node.value.decode("utf-8", "replace")
        return [" ".join(text.split())]
    if isinstance(node, ast.JoinedStr):
        return [piece for value in node.values for piece in pieces_of(value)]
    return []


def sentences_of(module: Path) -> Iterator[str]:
    """The longest constant part of each text of a module that is for people.

    Left out are docstrings, texts for the server's own log, and what only says that a thing is not there: that is true
    wherever it is said.
    """
    tree = ast.parse(module.read_text())
    apart = {
        node for outer in ast.walk(tree) if _is_apart(outer) for node in ast.walk(outer) if node is not tree
    }
    for node in ast.walk(tree):
        inner = [value for value in getattr(node, "values", ()) if isinstance(node, ast.JoinedStr)]
        apart.update(each for each in inner if isinstance(each, ast.Constant))
        apart.update(
            each for value in inner for each in ast.walk(getattr(value, "format_spec", None) or ast.Pass())
        )
    for node in ast.walk(tree):
        longest = max(pieces_of(node), key=len, default="") if node not in apart else ""
        if " " in longest and len(WORD.findall(longest)) >= 3 and len(SQL.findall(longest)) < 2:
            yield longest


def _is_apart(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        return (
            isinstance(node.func.value, ast.Name)
            and node.func.value.id == "log"
            and node.func.attr in LOGGING
        )
    return isinstance(node.func, ast.Name) and node.func.id in ("NotFound", "RuntimeError")


def quoted_in(tests: Path) -> list[str]:
    """The texts in all tests, without what is filled in."""
    return [
        piece
        for path in sorted(tests.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        for piece in pieces_of(node)
        if " " in piece
    ]


def is_quoted(sentence: str, quoted: list[str], whole: str) -> bool:
    """Whether a test has it, or a good part of it; `whole` are all that are quoted in one text."""
    return sentence.strip(" .,:;") in whole or any(
        part in sentence for part in quoted if len(part) >= 12 and len(WORD.findall(part)) >= 2
    )
