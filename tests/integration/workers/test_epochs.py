"""An installation and what was restored from a backup of it, on one engine: neither takes anything of the other's."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from app.domain.builds import BuildStatus
from app.domain.runs import Reason, Run, RunStatus
from app.engines.base import State
from app.engines.fake import Script
from app.store import run_attempts, runs
from builders.backends.base import StopSignal
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.mortal import Fuse, Killed
from tests.support.waiting import eventually

A, B = (commit(letter) for letter in "ab")
FOREVER = Script(output=[b"OLD\n"], exit_code=None)
NEW = Script(output=[b"NEW\n"], exit_code=9)
LEFT = (
    "The data was restored from a copy that was made while this ran: how it ended is not known here, "
    "and its container"
)


@pytest.fixture
def live(place: Installation) -> Server:
    server = place.server("live")
    server.reconcile()
    return server


def queued(server: Server, name: str, script: Script, **definition: object) -> Run:
    """A run of a new job, whose containers do what the script says."""
    place = server.place
    place.job(name, **definition)
    place.engine.script("*", script)
    place.push(A, B, guid=f"push for {name}")
    while server.intake.step() or server.builder.step():
        pass
    return place.runs()[-1]


class Followed:
    """A run whose server follows it in the background; all its containers are known to be started."""

    def __init__(self, server: Server, run: Run) -> None:
        self.place, self.run = server.place, run
        self._thread = threading.Thread(target=server.runner.step)
        self._thread.start()
        eventually(lambda: [len(each.running) for each in server.runner.active.all()] == [run.spec.instances])

    def finish(self, key: str, exit_code: int = 0) -> Run:
        self.place.engine.finish(key, exit_code)
        self._thread.join(10)
        assert not self._thread.is_alive()
        with self.place.db.read() as tx:
            return runs.with_id(tx, self.run.id)


def alive(place: Installation) -> list[str]:
    return [each.handle.key for each in place.engine.owned() if each.state is State.RUNNING]


@pytest.mark.parametrize("epoch", ["restored", ""], ids=["restored", "copied-by-hand"])
def test_a_run_with_the_id_of_anothers_has_its_own_container_and_log(
    live: Server, tmp_path: Path, epoch: str
) -> None:
    """Both have begun it since the backup."""
    copy = live.place.restored(tmp_path / "copy", epoch)
    old = Followed(live, queued(live, "okjob", FOREVER))
    server = copy.server("restored")
    new = queued(server, "badjob", NEW)
    assert new.id == old.run.id
    server.work()
    (run,) = copy.runs()
    assert (run.status, run.reason, run.exit_code) == (RunStatus.FAILED, Reason.EXIT_NONZERO, 9)
    assert copy.attempt_log(run, 1) == b"NEW\n"
    assert alive(live.place) == ["run-1-1-0"]
    assert old.finish("run-1-1-0").status is RunStatus.SUCCEEDED
    assert live.place.attempt_log(old.run, 1) == b"OLD\n"


def test_logs_of_a_later_time_than_the_database_are_not_gone_on_with(live: Server, tmp_path: Path) -> None:
    """Of a run and a build whose ids come again: the log of either is its own from the first byte on."""
    copy = live.place.restored(tmp_path / "copy")
    queued(live, "okjob", Script(output=[b"OLD, and longer\n"]))
    live.work()
    shutil.copytree(live.place.root / "logs", copy.root / "logs", dirs_exist_ok=True)
    server = copy.server("restored")
    queued(server, "badjob", NEW)
    server.work()
    (run,), (build,) = copy.runs(), copy.builds()
    assert copy.attempt_log(run, 1) == b"NEW\n"
    assert copy.build_log(build).count(b"Fetching ") == 1


@pytest.mark.parametrize("epoch", ["restored", ""], ids=["restored", "copied-by-hand"])
def test_no_sweep_ends_a_container_of_the_others_run(live: Server, tmp_path: Path, epoch: str) -> None:
    copy = live.place.restored(tmp_path / "copy", epoch)
    server = copy.server("restored")
    theirs = Followed(server, queued(server, "longjob", FOREVER))
    mine = queued(live, "okjob", Script(output=[b"x\n"]))
    live.work()
    assert live.place.runs()[0].status is RunStatus.SUCCEEDED
    assert mine.id == theirs.run.id
    (left,) = live.place.world.containers.values()
    assert (left.state, left.spec.labels["jobyard.job"]) == (State.RUNNING, "longjob")
    assert theirs.finish(left.handle.key).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("retries", [0, 2])
def test_a_run_that_was_alive_in_the_backup_is_left_to_who_started_it(
    live: Server, tmp_path: Path, retries: int
) -> None:
    """Also where its time limit has passed since: what became of it is not known all the same."""
    limit = None if retries else 60
    old = Followed(live, queued(live, "okjob", FOREVER, retry_limit=retries, time_limit_seconds=limit))
    (container,) = live.place.world.containers.values()
    copy = live.place.restored(tmp_path / "copy")
    copy.clock.advance(3600)
    copy.engine.script("*", NEW)
    server = copy.server("restored")
    server.reconcile()
    (run,) = copy.runs()
    with copy.db.read() as tx:
        (attempt,) = run_attempts.attempts_of(tx, run.id)
    said = f"{LEFT} {container.handle.name} is left alone."
    assert (attempt.status, attempt.reason, attempt.sentence) == (RunStatus.FAILED, Reason.INTERRUPTED, said)
    assert copy.attempt_log(run, 1) == f"OLD\n{said}\n".encode()
    if retries:
        assert (run.status, run.sentence) == (RunStatus.QUEUED, f"{said[:-1]} — retry 1 of 2 in 10 s.")
    else:
        assert (run.status, run.reason, run.sentence) == (RunStatus.FAILED, Reason.INTERRUPTED, said)
    server.work()
    assert alive(live.place) == ["run-1-1-0"]
    assert old.finish("run-1-1-0").exit_code == 0


def test_a_retry_after_a_restore_is_of_the_new_epoch(live: Server, tmp_path: Path) -> None:
    old = Followed(live, queued(live, "okjob", FOREVER, retry_limit=1))
    copy = live.place.restored(tmp_path / "copy")
    copy.engine.script("*", Script(output=[b"NEW\n"]))
    copy.server("restored").work()
    (run,) = copy.runs()
    assert (run.status, run.attempts, run.failed) == (RunStatus.SUCCEEDED, 2, 1)
    assert copy.attempt_log(run, 2) == b"NEW\n"
    assert copy.world.starts == {"run-1-1-0": 1, "run-1-2-0-restored": 1}
    assert old.finish("run-1-1-0").status is RunStatus.SUCCEEDED


def test_of_several_containers_one_that_had_failed_before_speaks_for_the_attempt(
    live: Server, tmp_path: Path
) -> None:
    old = Followed(live, queued(live, "okjob", FOREVER, instances=2))
    old.place.engine.finish("run-1-1-1", 3)
    eventually(lambda: ended(old) == [False, True])
    copy = live.place.restored(tmp_path / "copy")
    copy.server("restored").work()
    (run,) = copy.runs()
    assert (run.status, run.reason, run.exit_code) == (RunStatus.FAILED, Reason.EXIT_NONZERO, 3)
    assert alive(live.place) == ["run-1-1-0"]
    old.finish("run-1-1-0")


def ended(followed: Followed) -> list[bool]:
    with followed.place.db.read() as tx:
        (attempt,) = run_attempts.attempts_of(tx, followed.run.id)
        return [each.finished_at is not None for each in run_attempts.containers_of(tx, attempt.id)]


def test_a_start_of_the_new_epoch_that_was_not_saved_is_found_again(live: Server, tmp_path: Path) -> None:
    copy = live.place.restored(tmp_path / "copy")
    queued(copy.server("first"), "okjob", Script(output=[b"once\n"]))
    contacts = copy.restored(tmp_path / "rehearsal", copy.epoch).server("x")
    contacts.runner.step()
    copy.world.containers.clear()
    copy.world.starts.clear()
    dying = copy.server("dying", Fuse(contacts.fuse.burnt.index("after start") + 1))
    with pytest.raises(Killed):
        dying.runner.step()
    assert alive(copy) == [] != copy.engine.owned()
    copy.server("next").work()
    (run,) = copy.runs()
    assert (run.status, run.attempts) == (RunStatus.SUCCEEDED, 1)
    assert copy.world.starts == {"run-1-1-0-restored": 1}
    assert copy.attempt_log(run, 1) == b"once\n"


def test_a_build_that_was_being_made_is_made_again(live: Server, tmp_path: Path) -> None:
    place, copies = live.place, []

    def back_up(_: StopSignal) -> None:
        copies.append(place.restored(tmp_path / "copy"))

    place.backend.before_end[B].append(back_up)
    queued(live, "okjob", Script())
    (copy,) = copies
    (build,) = copy.builds()
    assert (build.status, build.tries) == (BuildStatus.QUEUED, 0)
    assert (
        build.sentence == "The data was restored from a copy that was made during this build; building again."
    )
    copy.server("restored").work()
    assert [each.status for each in copy.builds()] == [BuildStatus.SUCCEEDED]
    assert [each.status for each in copy.runs()] == [RunStatus.SUCCEEDED]
