"""What is stored of runs, word by word; each test makes the situation that says it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from app.commands.runs import cancel_run, run_again, start_run
from app.domain.errors import DiskUnavailable
from app.domain.job.effective import NOTHING
from app.domain.redaction import Redactor
from app.domain.runs import Reason, RunStatus, Trigger, TriggerType
from app.engines.base import Exit, ExitKind
from app.engines.fake import Script
from app.logs import LogReader
from app.runtime.disk import Disk
from app.store import run_attempts, runs
from app.workers.log_recording import BuildRecording, Recording
from app.workers.run.outcomes import outcome_of_exit
from tests.support.installation import Installation, read_log
from tests.support.loops import Server
from tests.support.sentences import built, said, sql


@pytest.mark.parametrize(
    ("config", "had_image", "what"),
    [
        ("same", True, "the same image and configuration"),
        ("current", True, "what the job has now"),
        (
            "same",
            False,
            "the same configuration and, as that run never had an image, what is deployed when it starts",
        ),
    ],
)
def test_a_run_that_is_started_again(
    place: Installation, server: Server, config: Any, had_image: bool, what: str
) -> None:
    job = built(place, server)
    if not had_image:  # the run takes what is deployed when it starts, and is cancelled before that
        with place.db.write() as tx:
            trigger = Trigger(TriggerType.MANUAL, by="ada")
            run_id = start_run(tx, place.names, place.job_now(job), NOTHING, trigger, place.clock.now())
            cancel_run(tx, runs.with_id(tx, run_id), "ada", place.clock.now())
    server.work()
    old = place.runs()[-1]
    with place.db.write() as tx:
        trigger = Trigger(TriggerType.MANUAL, by="ada")
        run_again(tx, place.names, old, config, trigger, place.clock.now(), confirm_paused=False)
    assert said(place) == f"Run {old.name} started again manually by ada, with {what}."


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (Exit(ExitKind.EXITED, 0), "Exited with code 0."),
        (Exit(ExitKind.EXITED, 143), "Exited with code 143 (SIGTERM)."),
        (
            Exit(ExitKind.EXITED, 1, detail="A process in it was killed."),
            "Exited with code 1. A process in it was killed.",
        ),
        (
            Exit(ExitKind.EXITED, 0, detail="A process in it was killed."),
            "Exited with code 0. A process in it was killed.",
        ),
        (Exit(ExitKind.EXITED, 137, oom_killed=True), "Killed for using more memory than the plan has."),
    ],
)
def test_how_a_container_ended(ended: Exit, sentence: str) -> None:
    assert outcome_of_exit(ended).sentence == sentence


def vanished(place: Installation) -> None:
    (key,) = place.engine.running()
    place.engine.vanish(key)


def test_a_container_that_is_gone_was_removed_by_nobody_we_know(place: Installation, server: Server) -> None:
    place.engine.script("*", Script(exit_code=None))
    built(place, server)
    with place.db.write() as tx:
        run = runs.claim(tx, "another", place.clock.now())
    assert run is not None
    sql(place, "UPDATE run SET status = 'queued', owner = NULL")
    follow: Callable[..., Any] = place.engine.logs

    def gone(*arguments: Any) -> Any:
        vanished(place)
        return follow(*arguments)

    place.engine.logs = gone  # type: ignore[method-assign]
    server.runner.step()
    assert place.runs()[0].sentence == (
        "The container is not in the engine any more, so how it ended is not known: it was removed or lost"
        " there."
    )


def test_an_image_that_is_gone_from_its_registry(place: Installation, server: Server) -> None:
    job = place.job(source={"type": "image", "image": "busybox"})
    with place.db.write() as tx:
        trigger = Trigger(TriggerType.MANUAL, by="ada")
        start_run(tx, place.names, job, NOTHING, trigger, place.clock.now())
    resolve: Callable[..., Any] = place.engine.resolve

    def once(*arguments: Any, **more: Any) -> Any:
        found = resolve(*arguments, **more)
        place.engine.without_image(found.image)
        return found

    place.engine.resolve = once  # type: ignore[method-assign]
    server.work()
    (run,) = place.runs()
    assert run.reason is Reason.IMAGE_UNAVAILABLE
    assert run.sentence.endswith(
        "If it is not in its registry any more, push it there again, or use another one."
    )


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (
            {"plan": "gone"},
            "There is no plan named gone any more; there are: micro, small, medium, large, xlarge.",
        ),
        ({"process": "worker"}, "The image has no process named worker; it has: none."),
        (
            {"command": "echo 'unclosed"},
            "The command \"echo 'unclosed\" can't be split as a shell would: No closing quotation.",
        ),
    ],
)
def test_what_no_container_can_be_started_with(
    place: Installation, server: Server, job: dict[str, Any], sentence: str
) -> None:
    built(place, server, **job)
    server.work()
    (run,) = place.runs()
    assert (run.status, run.sentence) == (RunStatus.FAILED, sentence)


def test_a_run_that_takes_servers_down_is_given_up(place: Installation, server: Server) -> None:
    built(place, server)
    sql(place, "UPDATE run SET deaths = 8")
    server.runner.step()
    assert place.runs()[0].sentence == (
        "The server was killed, or failed, 8 times while it worked on this run, although nothing else was under"
        " suspicion any more; not going on with it."
    )


def test_a_run_that_is_cancelled_while_its_image_is_pulled_again(place: Installation, server: Server) -> None:
    """The engine lost it between the run's first look and its start, and the registry does not answer."""
    job = place.job(source={"type": "image", "image": "busybox"})
    with place.db.write() as tx:
        run_id = start_run(
            tx, place.names, job, NOTHING, Trigger(TriggerType.MANUAL, by="ada"), place.clock.now()
        )
    resolve: Callable[..., Any] = place.engine.resolve
    over = threading.Event()
    asked: list[str] = []

    def hang(reference: str, *more: Any, **options: Any) -> Any:
        asked.append(reference)
        if len(asked) == 1:
            found = resolve(reference, *more, **options)
            place.engine.without_image(found.image)
            return found
        with place.db.write() as tx:
            cancel_run(tx, runs.with_id(tx, run_id), "ada", place.clock.now())
        server.watcher.step()
        return over.wait(10)

    place.engine.resolve = hang  # type: ignore[method-assign]
    server.runner.step()
    over.set()
    with place.db.read() as tx:
        (attempt,) = run_attempts.attempts_of(tx, run_id)
    assert attempt.sentence == "Cancelled by ada. It was told to end before it had started."


def test_what_the_log_of_a_build_lacks(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room() -> None:
        raise DiskUnavailable(place.root, "JOBYARD_DATA", "The disk is full.")

    disk, path = Disk(), place.log_storage.build_path(1)
    recording = Recording(path, partial(place.log_storage.write_build, 1, Redactor([])), disk, anew=True)
    with BuildRecording(recording, disk, place.clock) as log:
        with monkeypatch.context() as full:
            full.setattr(recording, "writer", no_room)
            log.write(b"x" * 1500)
        log.write(b"more")
    said_ = read_log(LogReader(path)).decode()
    assert said_.startswith(
        "Some 1,500 bytes are missing here: there was no room for them on the server's disk."
    )
    assert said_.endswith("more")
