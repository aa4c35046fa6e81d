from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.sealing import Owner, Place, place_of_copy, written_place
from app.secrets import SecretBox, SecretKeyError, first_ring, next_ring, open_ring, openers, seal_ring
from tests.support.sealed import sealed_before

KEY = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"
BOX = SecretBox(first_ring(KEY))
PLACE = Owner.job(3, 17).variable("TOKEN")

words = st.text(st.characters(categories=["L", "N", "Zs"]), max_size=8)
places = st.builds(
    Place,
    st.sampled_from(["env", "webhook", "credential", "message"]),
    st.integers(0, 99),
    st.sampled_from(["job 1", "job 2", "flow 1", "source 12", "secret group 1"]),
    st.text(max_size=8),
)


@given(value=st.text(), place=places, other=places)
def test_what_is_sealed_opens_at_its_place_only(value: str, place: Place, other: Place) -> None:
    sealed = BOX.seal(value, place)
    assert BOX.open(sealed, place) == value
    assert written_place(sealed) == place
    if other != place:
        with pytest.raises(SecretKeyError, match="was sealed for something else; set it again"):
            BOX.open(sealed, other)


@given(place=places, other=places)
def test_a_place_that_is_written_over_opens_nothing(place: Place, other: Place) -> None:
    sealed = BOX.seal("value", place)
    moved = sealed.removesuffix(str(place)) + str(other)
    if other != place:
        with pytest.raises(SecretKeyError, match="is damaged"):
            BOX.open(moved, other)


@given(places, places)
def test_no_two_places_are_called_the_same(one: Place, other: Place) -> None:
    assert (str(one) == str(other)) == (one == other)


def test_the_same_value_never_looks_the_same_and_never_shows() -> None:
    first, second = BOX.seal("hunter2", PLACE), BOX.seal("hunter2", PLACE)
    assert first != second
    assert "hunter2" not in first
    ring = first_ring(KEY)
    assert not any(str(key) in f"{BOX!r} {BOX} {ring!r}" for key in (KEY, *ring.keys.values()))


@given(words, words, words, words)
def test_a_digest_is_the_same_for_the_same_value_and_purpose_only(a: str, b: str, c: str, d: str) -> None:
    assert (BOX.digest(a, b) == BOX.digest(c, d)) == ((a, b) == (c, d))
    assert BOX.digest(a, b) == SecretBox(next_ring(first_ring(KEY))).digest(a, b)


def test_a_digest_cannot_be_made_without_the_key() -> None:
    assert BOX.digest("hunter2", "env") != SecretBox(first_ring(OTHER)).digest("hunter2", "env")
    assert "hunter2" not in BOX.digest("hunter2", "env")


@given(st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    sealed = BOX.seal("value", PLACE)
    token = sealed.split(".", 3)[2]
    spare_bits_from = (
        sealed.index(token) + len(token.rstrip("=")) - 1
    )  # base64 ignores bits of the last character
    place = data.draw(
        st.integers(0, len(sealed) - 1).filter(lambda at: not spare_bits_from <= at < spare_bits_from + 2)
    )
    changed = "A" if sealed[place] != "A" else "B"
    with pytest.raises(SecretKeyError):
        BOX.open(sealed[:place] + changed + sealed[place + 1 :], PLACE)


@given(st.text(alphabet="v12.AZ:env job-_=", max_size=40))
def test_whatever_is_stored_is_refused_in_words(stored: str) -> None:
    with pytest.raises(SecretKeyError):
        BOX.open(stored, PLACE)


def test_what_earlier_releases_sealed_opens_for_its_purpose_and_is_sealed_anew_for_its_place() -> None:
    old = sealed_before(KEY, "hunter2", "env")
    assert BOX.open(old, PLACE) == "hunter2"
    with pytest.raises(SecretKeyError, match="sealed for something else"):
        BOX.open(old, replace(PLACE, purpose="webhook"))
    with pytest.raises(SecretKeyError, match="is damaged"):
        BOX.open(f"{old[:-6]}AAAAAA", PLACE)
    new = BOX.reseal(old, PLACE)
    assert (BOX.is_current(old), BOX.is_current(new)) == (False, True)
    assert written_place(new) == PLACE
    assert written_place(old) is None


def test_a_copy_opens_for_runs_of_its_job_and_its_project_only() -> None:
    for owner in (Owner.job(3, 17), Owner.group(3, 5), Owner.flow(3, 8)):
        sealed = BOX.seal("hunter2", owner.variable("TOKEN"))
        assert BOX.open(sealed, place_of_copy(sealed, "TOKEN", 3, 17)) == "hunter2"
        assert BOX.open(sealed, place_of_copy(sealed, "TOKEN", 3, None)) == "hunter2"
        for name, project_id in (("OTHER", 3), ("TOKEN", 4)):
            with pytest.raises(SecretKeyError):
                BOX.open(sealed, place_of_copy(sealed, name, project_id, 17))
    of_another = BOX.seal("hunter2", Owner.job(3, 18).variable("TOKEN"))
    with pytest.raises(SecretKeyError, match="sealed for something else"):
        BOX.open(of_another, place_of_copy(of_another, "TOKEN", 3, 17))


def test_either_of_two_keys_opens_a_ring_and_no_third_does() -> None:
    ring = next_ring(first_ring(KEY))
    stored = seal_ring(ring, [KEY, OTHER])
    assert openers(stored) == (first_ring(KEY).opener, first_ring(OTHER).opener)
    for key in (KEY, OTHER):
        opened = open_ring(stored, key)
        assert (opened.current, opened.keys, opened.former) == (ring.current, ring.keys, ring.former)
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        open_ring(stored, b"another key, long enough")
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        open_ring(stored.replace(openers(stored)[0], "0" * 8), KEY)


def test_a_box_takes_over_a_key_it_does_not_know_when_it_meets_one() -> None:
    stored = [seal_ring(first_ring(KEY), [KEY])]
    box = SecretBox(open_ring(stored[0], KEY), lambda: open_ring(stored[0], KEY))
    before = box.seal("before", PLACE)
    stored[0] = seal_ring(next_ring(open_ring(stored[0], KEY)), [KEY, OTHER])
    after = SecretBox(open_ring(stored[0], OTHER)).seal("after", PLACE)
    assert (box.open(after, PLACE), box.open(before, PLACE)) == ("after", "before")
    stored[0] = seal_ring(next_ring(open_ring(stored[0], OTHER)), [OTHER])
    assert box.seal("kept", PLACE) is not None
    box.refresh()  # its key opens that no more: what it has stays in force
    assert box.open(after, PLACE) == "after"


def test_the_key_before_the_current_one_opens_until_the_next_rotation() -> None:
    first = first_ring(KEY)
    second = next_ring(first).of_two()
    third = next_ring(second).of_two()
    sealed = SecretBox(second).seal("in between", PLACE)
    assert SecretBox(third).open(sealed, PLACE) == "in between"
    with pytest.raises(SecretKeyError, match="a key this server does not have"):
        SecretBox(third).open(BOX.seal("long ago", PLACE), PLACE)
    with pytest.raises(SecretKeyError, match="a key this server does not have"):
        SecretBox(second).open(sealed_before(KEY, "long ago", "env"), PLACE)


def test_another_key_is_refused_by_name() -> None:
    stranger = SecretBox(first_ring(OTHER))
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        stranger.open(BOX.seal("value", PLACE), PLACE)
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        stranger.verify(BOX.key_check())
    SecretBox(next_ring(first_ring(KEY))).verify(BOX.key_check())
    BOX.verify(sealed_before(KEY, "", "key check"))


@pytest.mark.parametrize("key", [b"", b"short", b"   padded with white  "[:12]])
def test_a_weak_key_is_refused(key: bytes) -> None:
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY must be at least 16 characters"):
        first_ring(key)
