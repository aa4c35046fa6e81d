"""Each rule of a decision is explained in the guide, with words that the code really says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from app.domain.deployments import DeploymentStatus
from app.domain.job.spec import RunOnImageChange
from app.domain.quotas import QUEUE_IS_FULL
from app.domain.runs import TriggerType
from tests.support.guide import section
from tests.support.project import ROOT
from tests.support.sentences import pieces_of

PACKAGES = ("domain", "commands", "workers")
HEADINGS = ("## A push", "## An image", "## A schedule", "## Somebody asked")
GIVES_A_RULE = {"Skip": 0, "Go": 0, "stays_available": 0, "_stays": 0, "Fired": 4}
PAIRS = {"_why_image_stays", "why_not_followed"}  # return a rule and why
COMPUTED = {  # rules that are values of something else
    *(str(each) for each in TriggerType),
    *(f"run_on_image_change:{each}" for each in RunOnImageChange),
    *(str(each) for each in DeploymentStatus if each not in ("pending", "running", "succeeded")),
    QUEUE_IS_FULL,
    "resumed",
    "cancel",
    "cancel_forced",
    "flow:forbid",
    "concurrency:forbid",
}


def modules() -> Iterator[Path]:
    return (path for package in PACKAGES for path in sorted((ROOT / "app" / package).rglob("*.py")))


def rules_of(path: Path) -> Iterator[str]:
    """Each constant that a module gives a verdict as its rule."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = [keyword.value for keyword in node.keywords if keyword.arg == "rule"]
            at = GIVES_A_RULE.get(name, len(node.args))
            given += node.args[at : at + 1]
        elif isinstance(node, ast.FunctionDef) and node.name in PAIRS:
            returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
            given = [each.elts[0] for each in returned if isinstance(each, ast.Tuple)]
        for each in [part for value in given for part in _either(value)]:
            value = constants.get(each.id) if isinstance(each, ast.Name) else getattr(each, "value", None)
            if isinstance(value, str) and re.fullmatch(r"[a-z_:-]+", value):
                yield value


def _either(value: ast.expr) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def rows() -> list[list[str]]:
    lines = [line for heading in HEADINGS for line in section("sentences", heading).splitlines()]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def test_every_rule_is_explained_and_no_other() -> None:
    explained = {name for cells in rows() for name in re.findall(r"`([\w:-]+)`", cells[0])}
    given = {rule for path in modules() for rule in rules_of(path)} | COMPUTED
    assert {"tag", "paths", "older_build", "clock_set_back", "rollback_hold", "missed_push"} <= given
    assert explained == given


def test_the_words_of_a_sentence_are_those_of_the_code() -> None:
    """Of the sentences that name a constant part; names and commits in them are examples."""
    said = {
        piece
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        for piece in pieces_of(node)
        if len(piece) > 4
    }
    unknown = [
        cells[1]
        for cells in rows()
        if "`manual`" not in cells[0] and "run that an image" not in cells[1]
        if not any(_agrees(piece, cells[1]) for piece in said)
    ]
    assert unknown == []


def _agrees(piece: str, sentence: str) -> bool:
    """Whether a constant part of the code has the sentence in it, or is a good part of it."""
    words = sentence.strip(" .")
    return words in piece or (piece.strip(" .,:;") in words and len(piece) * 4 >= len(words))
