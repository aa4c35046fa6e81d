"""Objects of a bucket are put in order by their names, whatever a writer still stores that was taken over from."""

from __future__ import annotations

import pytest

from app.logs.chain import Link, newest, still_to_come

FIRST = Link(1, 1, None)
SECOND, THIRD = FIRST.next(1), FIRST.next(1).next(1)
TAKEN_OVER = SECOND.next(2)


def names(*links: Link) -> list[str]:
    return [link.name for link in links]


@pytest.mark.parametrize("link", [FIRST, THIRD, TAKEN_OVER, TAKEN_OVER.next(2), Link(3, 7, None)])
def test_a_name_says_what_its_object_goes_on_from(link: Link) -> None:
    assert Link.of(link.name) == link


def test_names_sort_as_the_objects_come() -> None:
    far = Link(2, 99_999_999, (2, 99_999_998))
    links = [FIRST, SECOND, TAKEN_OVER, far, far.next(100_000_001)]
    assert sorted(names(*links)) == names(*links)


def test_what_was_stored_late_by_who_was_taken_over_from_belongs_to_nothing() -> None:
    assert newest(names(FIRST, SECOND, THIRD)) == [FIRST, SECOND, THIRD]
    assert newest(names(FIRST, SECOND, THIRD, TAKEN_OVER)) == [FIRST, SECOND, TAKEN_OVER]


def test_one_that_is_whole_needs_none_before_it() -> None:
    whole = Link(1, 4, None)
    assert newest(names(SECOND, THIRD, whole, whole.next(1))) == [whole, whole.next(1)]


def test_who_has_the_beginning_is_told_the_rest_and_who_has_another_must_begin_anew() -> None:
    assert still_to_come([], None) == []
    assert still_to_come(names(FIRST, SECOND), None) == [FIRST, SECOND]
    assert still_to_come([], SECOND) == []
    assert still_to_come(names(THIRD), SECOND) == [THIRD]
    assert still_to_come(names(TAKEN_OVER), SECOND) == [TAKEN_OVER]
    assert still_to_come(names(TAKEN_OVER), THIRD) is None, "the third was stored late"
    assert still_to_come(names(Link(1, 4, None)), SECOND) is None, "it was stored anew, as one"
    assert still_to_come(names(THIRD), None) is None, "the beginning is gone"
