"""What an image reference means is asked within a bound of time, whoever hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import Conflict, EngineUnavailable, InvalidValue
from app.domain.references import Ours
from app.engines.fake import FakeEngine
from app.orchestration.resolving import Resolver
from tests.support.loops import Installation

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
        place.db, engine, place.box, Ours("jobyard-0123456789ab"), registry_seconds=0.05, engine_seconds=0.05
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
    with pytest.raises(EngineUnavailable, match="so nothing was changed: try again"):
        resolver(place, engine).require(job.id, TAG)
    engine.over.set()


def test_what_is_not_there_is_said(place: Installation) -> None:
    job = place.job()
    place.engine.without_image(TAG)
    with pytest.raises(InvalidValue, match="image can't be had, so nothing was changed"):
        resolver(place, place.engine).pin(job.id, TAG)
    with pytest.raises(Conflict, match="can't be had any more, so nothing was changed"):
        resolver(place, place.engine).require(job.id, TAG)
