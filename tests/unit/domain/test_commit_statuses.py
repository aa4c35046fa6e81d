"""What is said of a commit at its forge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain.commit_statuses import DESCRIPTION, StatusState, shortened


def test_only_pending_is_not_final() -> None:
    assert [state for state in StatusState if not state.is_final] == [StatusState.PENDING]


def test_a_sentence_is_cut_between_words() -> None:
    assert shortened("Build 7 is queued.") == "Build 7 is queued."
    assert shortened("Nothing to build: all of it is ignored.", 20) == "Nothing to build…"
    assert shortened("two\nlines ") == "two lines"
    assert shortened("a" * 30, 20) == "a" * 19 + "…"


@given(st.text(), st.integers(2, DESCRIPTION))
def test_it_is_never_longer_and_begins_as_it_did(sentence: str, most: int) -> None:
    cut = shortened(sentence, most)
    assert len(cut) <= most
    assert " ".join(sentence.split()).startswith(cut.removesuffix("…"))
