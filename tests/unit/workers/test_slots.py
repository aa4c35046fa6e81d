"""Places to build in, lent by those who wait."""

from __future__ import annotations

import threading

from app.workers.build.slots import Slots


def test_there_are_no_more_places_than_places() -> None:
    slots = Slots(2)
    assert [slots.take(0) for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert slots.take(0)


def test_a_short_wait_lends_nothing() -> None:
    slots = Slots(1)
    assert slots.take(0)
    with slots.lent(lambda: False):
        assert not slots.take(0)
    slots.give_back()
    assert slots.take(0)


def test_a_place_is_lent_for_as_long_as_its_owner_waits_and_goes_back_before_others_get_it() -> None:
    slots = Slots(1)
    assert slots.take(0)
    waits, goes_on, back = threading.Event(), threading.Event(), threading.Event()

    def owner() -> None:
        with slots.lent(lambda: False):
            waits.set()
            goes_on.wait(10)
        back.set()

    thread = threading.Thread(target=owner)
    thread.start()
    assert slots.take(10)  # as soon as it is lent
    goes_on.set()
    assert not back.wait(0.05)
    slots.give_back()
    assert back.wait(10)
    thread.join()
    assert not slots.take(0)
    slots.give_back()
    assert slots.take(0)


def test_whoever_should_stop_waits_for_no_place() -> None:
    slots = Slots(1)
    assert slots.take(0)
    with slots.lent(lambda: True):
        assert slots.take(10)
    slots.give_back()
    slots.give_back()
    assert slots.take(0)
    assert not slots.take(0)


def test_who_is_told_of_a_lent_place_knows_how_many_are() -> None:
    slots = Slots(1)
    lent = threading.Event()
    slots.on_lent = lent.set
    assert slots.take(0)
    with slots.lent(lambda: False):
        assert lent.wait(10)
        assert slots.lent_out == 1
    assert slots.lent_out == 0
