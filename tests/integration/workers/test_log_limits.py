"""Logs of a project that take more than they may: the oldest go, and nothing else."""

from __future__ import annotations

from app.commands.log_limits import LogLimits
from app.commands.runs import start_run
from app.domain.job.effective import NOTHING
from app.domain.job.records import Job
from app.domain.retention import Kind
from app.domain.runs import Run, Trigger, TriggerType
from app.engines.fake import Script
from app.store import kept_logs, quotas
from tests.support.background import InBackground
from tests.support.installation import Installation
from tests.support.loops import Server
from tests.support.sentences import built

OUTPUT = b"a line of the log\n" * 30_000  # 540 kB


def start(place: Installation, job: Job) -> None:
    trigger = Trigger(TriggerType.API, "ada")
    with place.db.write() as tx:
        start_run(tx, place.names, place.job_now(job), NOTHING, trigger, place.clock.now())


def keep(place: Installation, **more: int) -> int:
    return LogLimits(place.db, place.log_storage, **more).keep(lambda: False)


def with_log(place: Installation) -> list[Run]:
    return [run for run in place.runs() if place.log_storage.size(Kind.RUNS, run.id)]


def counted(place: Installation) -> int:
    with place.db.read() as tx:
        return kept_logs.total(tx, place.project.id)


def limit(place: Installation, mebibytes: int) -> None:
    with place.db.write() as tx:
        quotas.set_own(tx, place.project.id, {"log_mb": mebibytes})


def test_the_oldest_go_until_the_rest_is_within_the_limit(place: Installation, server: Server) -> None:
    job = built(place, server)
    place.engine.script("*", Script(output=[OUTPUT]))
    for _ in range(4):
        start(place, job)
        server.work()
    before = with_log(place)
    sizes = {run.id: place.log_storage.size(Kind.RUNS, run.id) for run in before}
    of_build = place.log_storage.size(Kind.BUILDS, 1)
    assert of_build > 0
    assert counted(place) == sum(sizes.values()) + of_build
    assert keep(place) == 0
    limit(place, 3)
    assert keep(place) == 0
    limit(place, 1)
    rows = len(place.runs())
    dropped = keep(place, batch=1)
    left = with_log(place)
    assert left == before[-1:]
    assert dropped == len(before) - 1 + 1  # and the build's, which is older than all of them
    assert counted(place) == sizes[left[0].id] <= 2**20
    assert len(place.runs()) == rows
    assert place.attempt_log(before[0], 1) == b""
    assert keep(place) == 0


def test_what_is_under_way_keeps_its_log(place: Installation, server: Server) -> None:
    job = built(place, server)
    server.work()
    place.engine.script("*", Script(output=[OUTPUT, OUTPUT, OUTPUT], exit_code=None))
    limit(place, 1)
    start(place, job)
    run = InBackground(server.runner.step)
    server.until_running()
    (going,) = (each for each in place.runs() if not each.status.is_final)
    keep(place)
    assert going in with_log(place)
    for key in place.engine.running():
        place.engine.finish(key)
    run.join()
    assert place.log_storage.size(Kind.RUNS, going.id)


def test_what_lies_with_another_server_is_left_to_it(place: Installation, server: Server) -> None:
    job = built(place, server)
    place.engine.script("*", Script(output=[OUTPUT]))
    for _ in range(3):
        start(place, job)
        server.work()
    elsewhere, *_, here = with_log(place)
    place.log_storage.remove(Kind.RUNS, elsewhere.id)
    before = counted(place)
    limit(place, 1)
    keep(place)
    assert counted(place) < before
    with place.db.read() as tx:
        left = kept_logs.oldest(tx, place.project.id, Kind.RUNS, 0, 10)
    assert elsewhere.id in {each.id for each in left}
    assert here.id not in {each.id for each in left} or counted(place) <= 2**20
