"""No sentence is stored or shown that no test has read: a new one needs a test that makes its situation."""

from __future__ import annotations

import pytest

from tests.support.project import ROOT
from tests.support.sentences import is_quoted, quoted_in, sentences_of

MODULES = sorted(
    path
    for package in ("domain", "runtime", "commands", "workers", "store")
    for path in (ROOT / "app" / package).rglob("*.py")
    if not {"migrations", "schema", "redaction"}.intersection(path.parts)
)

NOT_FOR_PEOPLE = {  # what a part of the server is called in its own log, purposes of seals, what SQLite says
    "the end of a build",
    "the end of run",
    "the start of",
    "scope of builds",
    "name of an image",
    "asked for with this run",
    "spends the time that a wrong password would",
    "database or disk is full",
    "attempt to write a readonly database",
    "unable to open database file",
    "JOBYARD_DATA, or JOBYARD_DATABASE_URL,",
    "RETURNING name, id",
    "WHERE id IN (",
    ") AS given JOIN",
}


@pytest.fixture(scope="module")
def quoted() -> list[str]:
    return sorted(set(quoted_in(ROOT / "tests")))


def test_sentences_are_found_wherever_they_stand() -> None:
    domain = ROOT / "app/domain"
    rules = {*sentences_of(domain / "rules.py"), *sentences_of(domain / "ref_rules.py")}
    assert {
        "CI is off: turn it on to build pushes.",
        ": tags don't build.",
        "was already taken from another delivery.",
    } <= rules


def test_every_stored_sentence_is_quoted_by_a_test(quoted: list[str]) -> None:
    whole = "\n".join(quoted)
    unread = {
        f"{path.relative_to(ROOT)}: {sentence}"
        for path in MODULES
        for sentence in sentences_of(path)
        if sentence not in NOT_FOR_PEOPLE and not is_quoted(sentence, quoted, whole)
    }
    assert unread == set()
