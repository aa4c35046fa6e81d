"""What an image reference means is asked within a bound of time, whoever hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from app.commands.image_resolution import WAITING_AT_ONCE, Resolver, Sighting
from app.domain.errors import Conflict, EngineUnavailable, InvalidValue
from app.domain.references import Ours
from app.engines.base import ImageUnavailable
from app.engines.fake import FakeEngine
from app.runtime.engine_health import EngineHealth
from tests.support.installation import Installation

TAG = "registry.example.com/team/tool:v1"


class Hanging:
    """An engine of which some calls never answer until the test is over."""

    def __init__(self, of: FakeEngine, *calls: str) -> None:
        self._of = of
        self._calls = calls
        self.over = threading.Event()

    def __getattr__(self, name: str) -> Any:
        if name in self._calls:
            return lambda *_, **__: self.over.wait(30)
        return getattr(self._of, name)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    place = Installation(tmp_path / "place")
    yield place
    place.close()


def resolver(place: Installation, engine: Any) -> Resolver:
    return Resolver(
        place.db,
        engine,
        place.box,
        Ours("jobyard-0123456789ab"),
        lambda: EngineHealth(is_up=True, sentence="The engine answers."),
        registry_seconds=0.05,
        engine_seconds=0.05,
    )


def test_a_tag_means_its_digest_at_the_registry(place: Installation) -> None:
    job = place.job()
    digest = "sha256:" + "e" * 64
    place.engine.tag(TAG, digest)
    assert resolver(place, place.engine).pin(job.id, TAG).digest == digest


def test_the_engines_own_image_stands_for_a_registry_that_hangs(place: Installation) -> None:
    engine = Hanging(place.engine, "resolve")
    found = resolver(place, engine).pin(place.job().id, TAG)
    engine.over.set()
    assert found.image == found.digest == place.engine.held(TAG).digest


@pytest.mark.parametrize("calls", [("resolve", "held"), ("resolve", "held", "image_config")])
def test_an_engine_that_hangs_is_not_waited_for(place: Installation, calls: tuple[str, ...]) -> None:
    job, engine = place.job(), Hanging(place.engine, *calls)
    place.engine.without_image(TAG)
    with pytest.raises(EngineUnavailable, match="so nothing was changed: try again"):
        resolver(place, engine).pin(job.id, TAG)
    with pytest.raises(EngineUnavailable, match="so nothing was changed: try again") as refused:
        resolver(place, engine).missing({job.id: TAG})
    engine.over.set()
    if "image_config" in calls:  # no registry was asked
        assert str(refused.value) == (
            f"The container engine does not say in time whether it has {TAG}, so nothing was changed: try again."
        )


def test_what_is_not_there_is_said(place: Installation) -> None:
    job = place.job()
    place.engine.without_image(TAG)
    with pytest.raises(InvalidValue, match="image can't be had, so nothing was changed"):
        resolver(place, place.engine).pin(job.id, TAG)
    assert resolver(place, place.engine).missing({job.id: TAG}) == {TAG}


def test_an_image_for_a_new_job_is_there_or_refused_or_not_known_yet(place: Installation) -> None:
    asking, hanging = resolver(place, place.engine), Hanging(place.engine, "resolve", "held")
    assert asking.sighted(place.project.id, TAG, None) == Sighting(place.world.digest(TAG))
    assert resolver(place, hanging).sighted(place.project.id, TAG, None) == Sighting()
    hanging.over.set()
    down = EngineHealth(is_up=False, sentence="It has not answered for 40 s.")
    assert replace(asking, health=lambda: down).sighted(place.project.id, TAG, None) == Sighting()
    place.engine.without_image(TAG)
    assert asking.sighted(place.project.id, TAG, None).refusal == f"There is no image {TAG}."


def test_what_is_refused_is_not_missing(place: Installation) -> None:
    job = place.job()

    class Refusing(Hanging):
        def resolve(self, *_: Any, **__: Any) -> None:
            raise ImageUnavailable("The registry gives no access.", is_missing=False)

    place.engine.without_image(TAG)
    with pytest.raises(Conflict, match=r"so nothing was changed\. The registry gives no access"):
        resolver(place, Refusing(place.engine)).missing({job.id: TAG})


def test_an_engine_that_is_known_not_to_answer_is_not_asked(place: Installation) -> None:
    job, engine = place.job(), Hanging(place.engine, "resolve", "held", "image_config")
    down = EngineHealth(is_up=False, sentence="It has not answered for 40 s.")
    asking = replace(resolver(place, engine), health=lambda: down, registry_seconds=30, engine_seconds=30)
    for ask in (lambda: asking.pin(job.id, TAG), lambda: asking.missing({job.id: TAG})):
        with pytest.raises(EngineUnavailable, match=r"not answered for 40 s\. Nothing was changed"):
            ask()


def test_only_a_few_requests_wait_for_images(place: Installation) -> None:
    job, engine = place.job(), Hanging(place.engine, "resolve", "held", "image_config")
    asking = replace(resolver(place, engine), registry_seconds=30, engine_seconds=30)
    answers: SimpleQueue[str] = SimpleQueue()

    def ask() -> None:
        try:
            asking.missing({job.id: TAG})
        except EngineUnavailable as error:
            answers.put(str(error))
        else:
            answers.put("")

    for _ in range(WAITING_AT_ONCE + 1):
        threading.Thread(target=ask, daemon=True).start()
    assert "Too many requests wait" in answers.get(timeout=20)
    engine.over.set()
    assert [answers.get(timeout=20) for _ in range(WAITING_AT_ONCE)] == [""] * WAITING_AT_ONCE


def test_images_of_many_jobs_are_looked_for_side_by_side(place: Installation) -> None:
    job, together = place.job(), threading.Barrier(3)

    class Meeting(Hanging):
        def image_config(self, _image: str) -> None:
            together.wait(20)

    asking = replace(resolver(place, Meeting(place.engine)), engine_seconds=30)
    asking.missing({job.id: TAG, 2: f"{TAG}-two", 3: f"{TAG}-three"})
