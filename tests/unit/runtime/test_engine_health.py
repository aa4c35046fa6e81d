"""The engine's health is what a loop has found out: asking for it never waits, and what is told is never old."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from app.domain.errors import EngineUnavailable
from app.engines.base import Capability, EngineInfo
from app.runtime.engine_health import SILENT_AFTER, EngineWatch

INFO = EngineInfo("docker", "20.10.24", 2, 2**32)


class Engine:
    """Answers, refuses, or gives no answer until it is told to."""

    def __init__(self) -> None:
        self.refusal: str | None = None
        self.egress = ""
        self.disk = ""
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()

    def info(self) -> EngineInfo:
        self.asked.set()
        assert self.answers.wait(30)
        if self.refusal:
            raise EngineUnavailable(self.refusal)
        return INFO

    def lacks(self) -> Mapping[Capability, str]:
        return {Capability.SHELL: "It opens no shell."}

    def confine(self) -> str:
        if self.egress == "refused":
            raise EngineUnavailable("The container engine is gone.")
        return self.egress

    def disk_refusal(self, size: int) -> str:
        assert size == 512 << 20
        if self.disk == "refused":
            raise EngineUnavailable("It has no room.")
        return self.disk


class Ticks:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def watch(engine: Any, ticks: Ticks) -> EngineWatch:
    return EngineWatch(engine, ticks)


def test_before_the_first_answer_nothing_is_known(watch: EngineWatch) -> None:
    assert (watch.health().is_up, watch.health().sentence) == (
        False,
        "The container engine has not been asked yet.",
    )


def test_an_engine_that_answers_is_up(watch: EngineWatch) -> None:
    watch.step()
    assert watch.health().is_up
    assert watch.health().sentence == "docker 20.10.24 answers: 2 CPUs, 4.0 GiB of memory."


def test_a_refusal_is_told_with_its_age_and_asked_about_sooner(
    watch: EngineWatch, engine: Engine, ticks: Ticks
) -> None:
    usual = watch.step()
    engine.refusal = "The container engine does not answer: start it."
    ticks.at = 35.0
    assert watch.step() < usual
    ticks.at = 40.0
    assert not watch.health().is_up
    assert watch.health().sentence == f"{engine.refusal} It has not answered for 40 s."
    engine.refusal = None
    watch.step()
    assert watch.health().is_up


@pytest.mark.parametrize("answered_before", [True, False])
def test_no_answer_is_told_while_the_question_is_open(
    watch: EngineWatch, engine: Engine, ticks: Ticks, *, answered_before: bool
) -> None:
    if answered_before:
        watch.step()
        engine.asked.clear()
    engine.answers.clear()
    question = threading.Thread(target=watch.step)
    question.start()
    assert engine.asked.wait(10)
    assert watch.health().is_up is answered_before
    ticks.at = SILENT_AFTER + 34
    assert not watch.health().is_up
    assert watch.health().sentence == "The container engine gives no answer. It has not answered for 40 s."
    engine.answers.set()
    question.join(10)
    assert watch.health().is_up


def test_changes_are_logged_once(
    watch: EngineWatch, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for refusal in (None, None, "It is down.", "It is down.", None):
        engine.refusal = refusal
        watch.step()
    up = "docker 20.10.24 answers: 2 CPUs, 4.0 GiB of memory."
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("INFO", up),
        ("WARNING", "It is down."),
        ("INFO", up),
    ]


def test_what_is_not_enforced_is_told_and_logged_once(
    watch: EngineWatch, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    for engine.egress in ("", "Nothing is enforced.", "Nothing is enforced.", ""):
        watch.step()
        assert watch.health().egress == engine.egress
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "Nothing is enforced."
    ]


def test_a_disk_of_runs_that_is_not_bounded_is_told_and_logged_once(
    engine: Any, ticks: Ticks, caplog: pytest.LogCaptureFixture
) -> None:
    watch = EngineWatch(engine, ticks, run_disk_mb=512)
    told = []
    for engine.disk, engine.refusal in (
        ("", None),
        ("It can't.", None),
        ("", "It is down."),
        ("It can't.", None),
    ):
        watch.step()
        told.append(watch.health().run_disk)
    sentence = "Runs are not held to 512 MiB of disk (JOBYARD_RUN_DISK_MB). It can't."
    assert told == ["", sentence, "", sentence]
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        sentence,
        "It is down.",
    ]


def test_an_engine_that_can_not_be_tried_now_is_up_and_says_so(engine: Any, ticks: Ticks) -> None:
    watch = EngineWatch(engine, ticks, run_disk_mb=512)
    engine.disk = "refused"
    watch.step()
    health = watch.health()
    assert (health.is_up, health.run_disk) == (
        True,
        "Runs are not held to 512 MiB of disk (JOBYARD_RUN_DISK_MB). It has no room.",
    )


def test_an_engine_that_is_lost_meanwhile_is_down(watch: EngineWatch, engine: Engine) -> None:
    engine.egress = "refused"
    watch.step()
    assert (watch.health().is_up, watch.health().sentence) == (
        False,
        "The container engine is gone. It has not answered for 0 s.",
    )
