"""Secrets that are kept elsewhere, as runs and builds have them: read for each try, masked, and stored nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.commands.runs import cancel_run, enqueue_run
from app.domain.builds import BuildReason, BuildStatus
from app.domain.external_secrets import FileSecret, SecretRefused, SecretUnavailable
from app.domain.job.records import Job
from app.domain.outages import UNANSWERED_LIMIT
from app.domain.runs import Reason, Run, RunStatus, Trigger, TriggerType
from app.engines.fake import Fault, Script
from app.store import jobs, runs
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.kept_secrets import TOKEN, KeptSecrets, job_with_token
from tests.support.loops import Server
from tests.support.mortal import Fuse, Killed
from tests.support.samples import spec_of

A, B = commit("a"), commit("b")
FIRST, SECOND = "the-first-value-7391", "the-second-value-8264"
DENIED = (
    "TOKEN can't be read from file token: there is no such file; put it into reports/ of JOBYARD_SECRETS_DIR."
)
SEALED = "TOKEN can't be read from file token: Vault is sealed."


def started(place: Installation, **changes: Any) -> Job:
    with place.db.write() as tx:
        job = jobs.create(tx, place.project.id, spec_of(**job_with_token(**changes)), None, place.clock.now())
        enqueue_run(tx, place.names, job, Trigger(TriggerType.API, "ada"), place.clock.now())
        return job


def says(place: Installation, value: str) -> None:
    """Containers that are made from now on print this."""
    place.engine.script("*", Script(output=[f"token is {value}\n".encode()]))


def outlast(place: Installation, step: Callable[[], bool]) -> None:
    """Try as long as anything waits, and longer than it does each time."""
    for _ in range(UNANSWERED_LIMIT + 1):
        step()
        place.clock.advance(600)


def the_run(place: Installation) -> Run:
    (run,) = place.runs()
    return run


def held(place: Installation) -> bytes:
    """All that is stored: database, logs, work trees."""
    return b"".join(path.read_bytes() for path in place.root.rglob("*") if path.is_file())


def test_it_reaches_the_container_and_nothing_else(place: Installation) -> None:
    source = KeptSecrets(FIRST)
    says(place, FIRST)
    specs = []
    start = place.engine.start
    place.engine.start = lambda spec, *a, **k: specs.append(spec) or start(spec, *a, **k)  # type: ignore[method-assign,func-returns-value]
    started(place)
    place.server("one", secret_source=source).work()
    run = the_run(place)
    assert (run.status, place.attempt_log(run, 1)) == (RunStatus.SUCCEEDED, b"token is ***\n")
    assert (specs[0].env["TOKEN"], specs[0].env["PLAIN"]) == (FIRST, "in the clear")
    assert source.asked == [("reports", {"TOKEN": FileSecret("token")})]
    assert run.spec.env["TOKEN"].shown == "from file token"
    assert FIRST not in repr(specs[0])
    assert FIRST.encode() not in held(place)


def test_each_attempt_reads_it_anew(place: Installation) -> None:
    source = KeptSecrets(FIRST)
    place.engine.script("*", Script(output=[f"{FIRST} {SECOND}\n".encode()], exit_code=1))
    started(place, retry_limit=1)
    server = place.server("one", secret_source=source)
    assert server.runner.step()
    source.value = SECOND
    place.clock.advance(3600)
    server.work()
    run = the_run(place)
    assert [place.attempt_log(run, number) for number in (1, 2)] == [
        f"*** {SECOND}\n".encode(),
        f"{FIRST} ***\n".encode(),
    ]
    assert len(source.asked) == 2


def test_the_same_once_more_reads_it_anew(place: Installation) -> None:
    source = KeptSecrets(FIRST)
    job = started(place)
    server = place.server("one", secret_source=source)
    server.work()
    with place.db.write() as tx:
        spec = runs.with_id(tx, the_run(place).id).spec
        enqueue_run(tx, place.names, jobs.with_id(tx, job.id), Trigger(TriggerType.API), place.clock.now())
    server.work()
    assert len(source.asked) == 2
    assert spec.env["TOKEN"].reference == FileSecret("token")


def test_what_is_not_there_fails_the_run_at_once(place: Installation) -> None:
    source = KeptSecrets(FIRST, faults=[SecretRefused(DENIED)])
    started(place, retry_limit=3)
    place.server("one", secret_source=source).work()
    run = the_run(place)
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.SECRET_UNAVAILABLE, 0)
    assert (run.sentence, len(source.asked)) == (DENIED, 1)


def test_an_outage_is_waited_for_and_costs_no_attempt(place: Installation) -> None:
    source = KeptSecrets(FIRST, silent=UNANSWERED_LIMIT - 1)
    started(place)
    server = place.server("one", secret_source=source)
    assert server.runner.step()
    run = the_run(place)
    assert (run.status, run.attempts) == (RunStatus.QUEUED, 0)
    assert run.sentence == f"{SEALED} Asked again in 5 s."
    assert not server.runner.step()  # nobody waits for it meanwhile
    outlast(place, server.runner.step)
    run = the_run(place)
    assert (run.status, run.attempts, run.failed) == (RunStatus.SUCCEEDED, 1, 0)


def test_an_outage_without_end_is_given_up(place: Installation) -> None:
    source = KeptSecrets(FIRST, silent=1000)
    started(place, retry_limit=3)
    outlast(place, place.server("one", secret_source=source).runner.step)
    run = the_run(place)
    assert (run.status, run.reason, run.attempts) == (RunStatus.FAILED, Reason.SECRET_UNAVAILABLE, 0)
    assert run.sentence.startswith(f"{SEALED} Tried 15 times in ")


def test_a_run_that_is_to_end_waits_for_no_answer(place: Installation) -> None:
    started(place)
    server = place.server("one")

    class Asking(KeptSecrets):
        def read(self, wanted: Any, project: str) -> dict[str, str]:
            with place.db.write() as tx:
                cancel_run(tx, the_run(place), "ada", place.clock.now())
            server.watcher.step()
            raise SecretUnavailable(SEALED)

    server.runner = replace(server.runner, secret_source=Asking(FIRST))
    server.runner.step()
    server.work()
    assert the_run(place).status is RunStatus.CANCELLED


def test_a_short_one_is_told_of_in_the_log(place: Installation) -> None:
    says(place, "abc")
    started(place)
    place.server("one", secret_source=KeptSecrets("abc")).work()
    log = place.attempt_log(the_run(place), 1).decode()
    assert "What was read for TOKEN is too short to be masked in this log." in log


def test_a_server_without_such_settings_says_which(place: Installation, server: Server) -> None:
    started(place)
    server.work()
    assert the_run(place).sentence == (
        "TOKEN can't be read from file token: this server reads no files; have its operator set "
        "JOBYARD_SECRETS_DIR, or give the value."
    )


class TestTakenOver:
    """A server is killed at each contact with the world; another goes on, for which the value is another by then."""

    @contextmanager
    def history(self, root: Path) -> Iterator[Installation]:
        with Installation(root) as place:
            says(place, FIRST)
            started(place, instances=2)
            yield place

    def points(self, root: Path) -> int:
        with self.history(root) as place:
            server = place.server("one", secret_source=KeptSecrets(FIRST))
            server.work()
            assert the_run(place).status is RunStatus.SUCCEEDED
            return len(server.fuse.burnt)

    def test_the_log_is_masked_wherever_the_first_was_killed(self, tmp_path: Path) -> None:
        for number in range(1, self.points(tmp_path / "place") + 1):
            with self.history(tmp_path / "place") as place:
                with suppress(Killed):
                    place.server("one", Fuse(number), secret_source=KeptSecrets(FIRST)).work()
                says(place, SECOND)
                place.server("two", secret_source=KeptSecrets(SECOND, silent=1)).work(rounds=100)
                run = the_run(place)
                logs = b"".join(place.attempt_log(run, each + 1) for each in range(run.attempts))
                assert (number, run.status) == (number, RunStatus.SUCCEEDED), run.sentence
                assert logs.count(b"token is ***\n") >= 2, number
                assert FIRST.encode() not in held(place), number
                assert SECOND.encode() not in held(place), number

    def adopted(self, place: Installation, source: KeptSecrets, **runner: Any) -> Server:
        """A run whose container was made by a server that died before it said so."""
        started(place)
        place.engine.script("*", Script(output=[f"token is {FIRST}\n".encode()]))
        place.engine.fail("start", Fault.ANSWER_LOST)
        first = place.server("one", Fuse(), secret_source=KeptSecrets(FIRST))
        first.runner.engine.start = _killing(place, first)  # type: ignore[attr-defined,method-assign]
        with suppress(Killed):
            first.work()
        return place.server("two", secret_source=source, **runner)

    def test_a_source_that_is_away_by_then_is_not_needed(self, place: Installation) -> None:
        source = KeptSecrets(SECOND, faults=[AssertionError("it was asked")])
        self.adopted(place, source).work()
        run = the_run(place)
        assert (run.status, place.attempt_log(run, 1)) == (RunStatus.SUCCEEDED, b"token is ***\n")
        assert source.asked == []

    def test_an_engine_that_tells_nothing_for_too_long_ends_it_without_a_log(
        self, place: Installation
    ) -> None:
        second = self.adopted(place, KeptSecrets(SECOND), patience=0.0)
        place.engine.fail("environment", Fault.REFUSED, 100)
        second.work()
        run = the_run(place)
        assert (run.status, run.reason) == (RunStatus.FAILED, Reason.ENGINE_FAILED)
        assert FIRST.encode() not in held(place)

    def test_an_engine_that_tells_nothing_for_a_moment_is_asked_again(self, place: Installation) -> None:
        second = self.adopted(place, KeptSecrets(SECOND))
        place.engine.fail("environment", Fault.REFUSED, 3)
        second.work()
        run = the_run(place)
        assert (run.status, place.attempt_log(run, 1)) == (RunStatus.SUCCEEDED, b"token is ***\n")

    def test_what_was_not_made_yet_waits_for_its_source(self, place: Installation) -> None:
        second = self.unmade(place, KeptSecrets(SECOND, silent=2))
        said = []
        read = second.runner.secret_source.read

        def seen(wanted: Any, project: str) -> dict[str, str]:
            said.append(the_run(place).sentence)
            return read(wanted, project)

        second.runner.secret_source.read = seen  # type: ignore[method-assign]
        second.work()
        run = the_run(place)
        assert (run.status, run.attempts, place.attempt_log(run, 1)) == (
            RunStatus.SUCCEEDED,
            1,
            b"token is ***\n",
        )
        assert said[-1] == f"{SEALED} It is asked again and again, for 45 min at most."

    def test_what_was_not_made_yet_and_whose_source_never_answers(self, place: Installation) -> None:
        self.unmade(place, KeptSecrets(SECOND, silent=1000), patience=0.0).work()
        run = the_run(place)
        assert (run.status, run.reason, run.sentence) == (
            RunStatus.FAILED,
            Reason.SECRET_UNAVAILABLE,
            SEALED,
        )

    def unmade(self, place: Installation, source: KeptSecrets, **runner: Any) -> Server:
        """A run whose attempt had begun when its server died, and no container was made."""
        started(place)
        says(place, SECOND)
        first = place.server("one", secret_source=KeptSecrets(FIRST))
        first.runner.engine.start = _dying(first)  # type: ignore[attr-defined,method-assign]
        with suppress(Killed):
            first.work()
        return place.server("two", secret_source=source, **runner)

    def test_what_was_not_made_yet_and_is_denied_by_then(self, place: Installation) -> None:
        self.unmade(place, KeptSecrets(SECOND, faults=[SecretRefused(DENIED)])).work()
        run = the_run(place)
        assert (run.status, run.reason, run.sentence) == (RunStatus.FAILED, Reason.SECRET_UNAVAILABLE, DENIED)


def _killing(place: Installation, server: Server) -> Any:
    def start(*given: Any, **more: Any) -> Any:
        with suppress(Exception):
            place.engine.start(*given, **more)
        return _dying(server)()

    return start


def _dying(server: Server) -> Any:
    def start(*_: Any, **__: Any) -> Any:
        server.fuse.blows_at = len(server.fuse.burnt)
        raise Killed

    return start


class TestBuilds:
    ENV = {"TOKEN": {**TOKEN, "scope": "build"}}

    def build(self, place: Installation, source: KeptSecrets) -> Any:
        server = place.server("one")
        server.builder = replace(server.builder, secret_source=source)
        place.job(env=self.ENV, run_on_image_change="never")
        place.push(A, B)
        server.intake.step()
        outlast(place, server.builder.step)
        return place.builds()[0]

    def test_it_is_a_secret_of_the_build(self, place: Installation) -> None:
        build = self.build(place, KeptSecrets(FIRST))
        assert build.status is BuildStatus.SUCCEEDED
        (request,) = place.backend.requests
        assert request.secrets == {"TOKEN": FIRST.encode()}
        assert "TOKEN" not in request.build_args
        assert FIRST.encode() not in held(place)

    def test_what_is_not_there_fails_the_build(self, place: Installation) -> None:
        build = self.build(place, KeptSecrets(FIRST, faults=[SecretRefused(DENIED)]))
        assert (build.status, build.reason, build.sentence) == (
            BuildStatus.FAILED,
            BuildReason.SECRET_UNAVAILABLE,
            DENIED,
        )

    def test_an_outage_is_waited_for(self, place: Installation) -> None:
        source = KeptSecrets(FIRST, silent=3)
        assert self.build(place, source).status is BuildStatus.SUCCEEDED
        assert len(source.asked) == 4

    def test_an_outage_without_end_is_given_up(self, place: Installation) -> None:
        build = self.build(place, KeptSecrets(FIRST, silent=1000))
        assert (build.status, build.reason) == (BuildStatus.FAILED, BuildReason.SECRET_UNAVAILABLE)
        assert build.sentence.startswith(f"{SEALED} Tried 15 times in ")

    def test_pushes_of_one_commit_share_a_build_without_reading_it(self, place: Installation) -> None:
        source = KeptSecrets(FIRST, silent=1000)
        server = place.server("one")
        server.builder = replace(server.builder, secret_source=source)
        place.job(env=self.ENV)
        place.push(A, B)
        place.push(A, B, guid="again")
        while server.intake.step():
            pass
        assert len(place.builds()) == 1
        assert source.asked == []
