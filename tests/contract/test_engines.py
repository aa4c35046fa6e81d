"""What `app.engines.base` promises, for every engine alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.domain.errors import EngineUnavailable
from app.domain.job.spec import Hardening, Network
from app.domain.output import Seen
from app.engines.base import (
    Capability,
    Chunk,
    Engine,
    ExitKind,
    Handle,
    ImageUnavailable,
    StartRefused,
    State,
    Stream,
)
from app.engines.fake import Script
from app.engines.shells import NoShell
from tests.support.engine_harness import DISTANT, ENGINES, Harness, Lack, kept, restarted, utc_now
from tests.support.waiting import together

EVERYWHERE = pytest.mark.parametrize("harness", [*ENGINES, *DISTANT], indirect=True)
FOREVER = ("echo ready; exec sleep 1000", Script(output=[b"ready\n"], exit_code=None))
STUBBORN = (
    "trap '' TERM; echo ready; while true; do sleep 1; done",
    Script(output=[b"ready\n"], exit_code=None, on_sigterm=None),
)


def text(chunks: Iterator[Chunk] | list[Chunk], stream: Stream | None = None) -> bytes:
    return b"".join(chunk.data for chunk in chunks if stream is None or chunk.stream is stream)


def ready(engine: Engine, handle: Handle) -> Iterator[Chunk]:
    """Wait until the process has said so; its further output."""
    chunks = engine.logs(handle)
    seen = b""
    while b"ready\n" not in seen:
        seen += next(chunks).data
    return chunks


@EVERYWHERE
class TestOutput:
    def test_both_streams_to_the_last_byte(self, harness: Harness) -> None:
        spec = harness.spec(
            "echo one; echo two >&2; printf three",
            Script(output=[b"one\n", (Stream.STDERR, b"two\n"), b"three"]),
        )
        chunks = list(harness.engine.logs(harness.engine.start(spec, "a", 1)))
        if Lack.STREAMS in harness.lacks:
            assert sorted(text(chunks, Stream.STDOUT).splitlines()) == [b"one", b"three", b"two"]
            assert {chunk.stream for chunk in chunks} == {Stream.STDOUT}
            return
        assert text(chunks, Stream.STDOUT) == b"one\nthree"
        assert text(chunks, Stream.STDERR) == b"two\n"
        assert {chunk.stream for chunk in chunks} == {Stream.STDOUT, Stream.STDERR}

    def test_bytes_stay_as_they_are(self, harness: Harness) -> None:
        every_byte = bytes(range(256)) * 3
        octal = "".join(f"\\{byte:03o}" for byte in every_byte)
        spec = harness.spec(f"printf '{octal}'", Script(output=[every_byte]))
        handle = harness.engine.start(spec, "a", 1)
        assert text(harness.engine.logs(handle)) == kept(harness, every_byte)
        assert text(harness.another().logs(restarted(handle))) == kept(harness, every_byte)

    def test_many_lines(self, harness: Harness) -> None:
        lines = b"".join(b"%d\n" % number for number in range(1, 100_001))
        lingers = "; sleep 1" if Lack.LAST_WORDS in harness.lacks else ""
        spec = harness.spec(f"seq 1 100000{lingers}", Script(output=[lines]))
        handle = harness.engine.start(spec, "a", 1)
        assert text(harness.engine.logs(handle)) == lines
        assert text(harness.another().logs(handle)) == lines

    def test_one_long_line_without_an_end(self, harness: Harness) -> None:
        line = b"x" * 3_000_000
        spec = harness.spec("head -c 3000000 /dev/zero | tr '\\0' x", Script(output=[line]))
        handle = harness.engine.start(spec, "a", 1)
        assert text(harness.engine.logs(handle)) == kept(harness, line)
        assert text(harness.another().logs(handle)) == kept(harness, line)

    def test_comes_while_the_process_runs(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec(*FOREVER), "a", 1)
        rest = ready(harness.engine, handle)
        assert [owned.state for owned in harness.engine.owned()] == [State.RUNNING]
        harness.engine.stop(handle, 5)
        assert text(rest) == b""

    def test_goes_on_in_another_process_while_the_process_runs(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec(*FOREVER), "a", 1)
        rest = ready(harness.another(), restarted(handle))
        harness.engine.stop(handle, 5)
        assert text(rest) == b""

    def test_beyond_what_is_held_only_the_rest(self, harness: Harness) -> None:
        spec = harness.spec("echo one; sleep 0.3; echo two", Script(output=[b"one\n", b"two\n"]))
        handle = harness.engine.start(spec, "a", 1)
        harness.engine.wait(handle)
        chunks = list(harness.another().logs(handle))
        assert text(chunks) == b"one\ntwo\n"
        for held in range(len(b"one\ntwo\n") + 1):
            seen = Seen(
                chunks[-1].at, stdout_bytes=held, stderr_bytes=0, lines=b"one\ntwo\n"[:held].count(b"\n")
            )
            assert text(harness.another().logs(handle, seen)) == b"one\ntwo\n"[held:]

    def test_of_what_was_removed_is_empty(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec("echo x", Script(output=[b"x\n"])), "a", 1)
        harness.engine.wait(handle)
        harness.engine.remove(handle)
        assert text(harness.another().logs(handle)) == b""


class TestStart:
    def test_again_adopts_what_runs(self, harness: Harness) -> None:
        spec = harness.spec(*FOREVER)
        first = harness.engine.start(spec, "a", 1)
        assert harness.another().start(spec, "a", 2) == first
        assert len(harness.engine.owned()) == 1

    def test_again_never_runs_what_has_ended(self, harness: Harness) -> None:
        spec = harness.spec("echo started", Script(output=[b"started\n"]))
        first = harness.engine.start(spec, "a", 1)
        harness.engine.wait(first)
        again = harness.another().start(spec, "a", 2)
        assert again == first
        assert text(harness.another().logs(again)) == b"started\n"

    def test_once_also_for_a_key_wrongly_taken_for_a_new_one(self, harness: Harness) -> None:
        spec = harness.spec("echo started", Script(output=[b"started\n"]))
        first = harness.engine.start(spec, "a", 1, is_new=True)
        harness.engine.wait(first)
        assert harness.another().start(spec, "a", 2, is_new=True) == first
        assert text(harness.another().logs(first)) == b"started\n"
        assert [owned.handle for owned in harness.engine.owned()] == [first]

    def test_once_however_many_try_at_once(self, harness: Harness) -> None:
        spec = harness.spec("echo started", Script(output=[b"started\n"]))
        engines = [harness.another() for _ in range(3)]
        handles = together(9, lambda number: engines[number % 3].start(spec, "a", number))
        assert len({handle.id for handle in handles}) == 1
        harness.engine.wait(handles[0])
        assert [owned.state for owned in harness.engine.owned()] == [State.EXITED]
        assert text(harness.another().logs(handles[0])) == b"started\n"

    def test_takes_over_what_was_only_created(self, harness: Harness) -> None:
        spec = harness.spec("echo started", Script(output=[b"started\n"]))
        harness.leave_created(spec, "a")
        (left,) = harness.engine.owned()
        assert left.handle.key == "a"
        assert not harness.creates_apart or left.state is State.CREATED
        handle = harness.engine.start(spec, "a", 2)
        assert text(harness.engine.logs(handle)) == b"started\n"
        assert [owned.handle for owned in harness.engine.owned()] == [handle]

    def test_keys_have_nothing_to_do_with_one_another(self, harness: Harness) -> None:
        spec = harness.spec("echo started", Script(output=[b"started\n"]))
        handles = together(4, lambda number: harness.engine.start(spec, f"run-{number}.1", 1))
        assert [text(harness.engine.logs(handle)) for handle in handles] == [b"started\n"] * 4
        assert {owned.handle.key for owned in harness.engine.owned()} == {f"run-{n}.1" for n in range(4)}

    @pytest.mark.parametrize("label", ["run", "job", "attempt"])
    def test_never_adopts_what_says_that_it_is_another_ones(self, harness: Harness, label: str) -> None:
        """A database that was put back has ids, and so keys, again."""
        labels = {"run": "report-1", "job": "report", "attempt": "1"}
        theirs = harness.spec(*FOREVER, labels={**labels, label: "another"})
        ours = harness.spec("echo ours", Script(output=[b"ours\n"]), labels=labels)
        earlier = harness.engine.start(theirs, "a", 1)
        mine = harness.another().start(ours, "a", 1)
        assert text(harness.another().logs(mine)) == b"ours\n"
        assert harness.engine.wait(mine).exit_code == 0
        assert (harness.another().start(theirs, "a", 2), harness.another().start(ours, "a", 2)) == (
            earlier,
            mine,
        )
        harness.engine.remove(mine)
        assert [(each.handle, each.state) for each in harness.engine.owned()] == [(earlier, State.RUNNING)]

    def test_adopts_what_an_older_version_started_with_fewer_labels(self, harness: Harness) -> None:
        spec = harness.spec(*FOREVER, labels={"run": "report-1"})
        first = harness.engine.start(spec, "a", 1)
        newer = replace(spec, labels={**spec.labels, "attempt": "1"})
        assert harness.another().start(newer, "a", 2) == first
        assert len(harness.engine.owned()) == 1

    def test_without_such_a_command_is_127(self, harness: Harness) -> None:
        try:
            code = harness.engine.wait(
                harness.engine.start(harness.spec_argv("no-such-command"), "a", 1)
            ).exit_code
        except StartRefused as refused:
            code = refused.exit_code
        assert code == 127

    def test_without_such_an_image(self, harness: Harness) -> None:
        spec = harness.without_image()
        with pytest.raises(ImageUnavailable):
            harness.engine.start(spec, "a", 1)
        with pytest.raises(ImageUnavailable):
            harness.engine.image_config(spec.image)
        with pytest.raises(ImageUnavailable):
            harness.engine.resolve(spec.image)
        assert [owned for owned in harness.engine.owned() if owned.state is not State.CREATED] == []

    def test_environment_arrives_as_given_and_ours_does_not(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JOBYARD_SECRET_KEY", "leaked")
        env = {"PLAIN": "1", "ODD": "a=b 'c' \"d\" $PLAIN ü", "LINES": "one\ntwo", "EMPTY": ""}
        shell = 'printf "%s|" "$PLAIN" "$ODD" "$LINES" "${EMPTY-unset}" "${JOBYARD_SECRET_KEY-none}"'
        expected = "".join(f"{value}|" for value in [*env.values(), "none"]).encode()
        spec = harness.spec(shell, Script(output=[expected]), env=env)
        assert text(harness.engine.logs(harness.engine.start(spec, "a", 1))) == kept(harness, expected)

    def test_a_container_is_known_by_what_it_was_made_with(self, harness: Harness) -> None:
        """However it is by then, and whoever asks; another's of the same key is not."""
        labels = {"run": "report-1"}
        spec = harness.spec(*FOREVER, env={"TOKEN": "a=b\nc", "EMPTY": ""}, labels=labels)
        assert harness.engine.environment("a", labels) is None
        harness.engine.start(spec, "a", 1)
        handle = harness.another().start(replace(spec, env={"TOKEN": "another by now"}), "a", 2)
        found = harness.another().environment("a", labels)
        assert found is not None
        assert (found["TOKEN"], found["EMPTY"]) == ("a=b\nc", "")
        assert harness.engine.environment("a", {"run": "report-2"}) is None
        assert harness.engine.environment("b", labels) is None
        harness.engine.stop(handle, 0)
        assert harness.engine.environment("a", labels) == found
        harness.engine.remove(handle)
        assert harness.engine.environment("a", labels) is None


@EVERYWHERE
class TestEnd:
    @pytest.mark.parametrize("code", [0, 1, 42, 255])
    def test_exit_code(self, harness: Harness, code: int) -> None:
        handle = harness.engine.start(harness.spec(f"exit {code}", Script(exit_code=code)), "a", 1)
        ended = harness.engine.wait(handle)
        assert (ended.kind, ended.exit_code, ended.oom_killed) == (ExitKind.EXITED, code, False)
        assert ended.started_at
        assert ended.finished_at
        assert ended.started_at <= ended.finished_at

    def test_by_a_signal(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec("kill -USR1 $$", Script(exit_code=138)), "a", 1)
        ended = harness.engine.wait(handle)
        assert (ended.kind, ended.exit_code) == (ExitKind.EXITED, 138)

    def test_can_be_asked_again_and_by_others(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec("exit 3", Script(exit_code=3)), "a", 1)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(harness.another().wait, handle)
            ended = harness.engine.wait(handle)
            assert waiting.result(20) == ended
        assert harness.another().wait(restarted(handle)) == ended

    def test_never_started_is_no_success(self, harness: Harness) -> None:
        spec = harness.spec("exit 0", Script()) if harness.creates_apart else harness.without_image()
        harness.leave_created(spec, "a")
        (owned,) = harness.engine.owned()
        ended = harness.engine.wait(owned.handle)
        assert (ended.kind, ended.exit_code) == (ExitKind.ENGINE_FAILED, None)
        assert ended.detail

    def test_removed_behind_our_back_is_lost(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec(*FOREVER), "a", 1)
        rest = ready(harness.engine, handle)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(harness.engine.wait, handle)
            harness.remove_behind_our_back(handle)
            assert waiting.result(20).kind is not ExitKind.EXITED or waiting.result().exit_code == 137
        assert text(chunk for chunk in rest if chunk.stream is not Stream.SYSTEM) == b""
        assert harness.engine.wait(handle).kind is ExitKind.LOST

    def test_of_waiting_when_the_engine_is_closed(self, harness: Harness) -> None:
        engine = harness.another()
        handle = engine.start(harness.spec(*FOREVER), "a", 1)
        rest = ready(engine, handle)
        with ThreadPoolExecutor() as pool:
            waiting, reading = pool.submit(engine.wait, handle), pool.submit(list, rest)
            engine.close()
            for blocked in (waiting, reading):
                with pytest.raises(EngineUnavailable):
                    blocked.result(20)
        assert [owned.state for owned in harness.engine.owned()] == [State.RUNNING]


class TestStop:
    def test_lets_the_process_end_by_itself(self, harness: Harness) -> None:
        spec = harness.spec(
            "trap 'echo bye; exit 7' TERM; echo ready; while true; do sleep 0.1; done",
            Script(output=[b"ready\n"], exit_code=None, on_sigterm=7),
        )
        handle = harness.engine.start(spec, "a", 1)
        ready(harness.engine, handle)
        harness.engine.stop(handle, 20)
        assert harness.engine.wait(handle).exit_code == 7

    def test_kills_after_the_grace(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec(*STUBBORN), "a", 1)
        ready(harness.engine, handle)
        harness.engine.stop(handle, 1)
        assert harness.engine.wait(handle).exit_code == 137
        assert harness.engine.owned()[0].state is State.EXITED

    def test_a_second_time_without_grace_cuts_the_first_short(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec(*STUBBORN), "a", 1)
        ready(harness.engine, handle)
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            patient = pool.submit(harness.engine.stop, handle, 100)
            harness.engine.stop(handle, 0)
            patient.result(20)
        assert time.monotonic() - began < (60 if Capability.KILL in harness.engine.lacks() else 20)
        assert harness.engine.wait(handle).exit_code == 137

    def test_and_remove_what_has_ended_or_is_gone(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec("exit 3", Script(exit_code=3)), "a", 1)
        harness.engine.wait(handle)
        harness.engine.stop(handle, 1)
        assert harness.engine.wait(handle).exit_code == 3
        for _ in range(2):
            harness.engine.remove(handle)
            harness.engine.stop(handle, 1)
        assert harness.engine.owned() == []
        assert harness.engine.wait(handle).kind is ExitKind.LOST

    def test_remove_ends_what_still_runs(self, harness: Harness) -> None:
        handle = harness.engine.start(harness.spec(*FOREVER), "a", 1)
        harness.engine.remove(handle)
        assert harness.engine.owned() == []


class TestOwned:
    def test_tells_state_and_labels(self, harness: Harness) -> None:
        running = harness.engine.start(harness.spec(*FOREVER, labels={"run": "1"}), "a", 1)
        ended = harness.engine.start(harness.spec("exit 0", Script(), labels={"run": "2"}), "b", 1)
        harness.engine.wait(ended)
        seen = {owned.handle: (owned.state, owned.labels["run"]) for owned in harness.another().owned()}
        assert seen == {running: (State.RUNNING, "1"), ended: (State.EXITED, "2")}

    def test_never_another_installations(self, harness: Harness) -> None:
        stranger = harness.stranger()
        theirs = stranger.start(harness.spec(*FOREVER), "a", 1)
        ours = harness.engine.start(harness.spec(*FOREVER), "a", 1)
        assert theirs.id != ours.id or harness.engine.name == "fake"
        assert [owned.handle for owned in harness.engine.owned()] == [ours]
        if theirs.id != ours.id:
            harness.engine.remove(theirs)
        assert [owned.handle for owned in stranger.owned()] == [theirs]

    def test_never_another_epochs(self, harness: Harness) -> None:
        """The same installation, key and labels: what was restored beside it, or after it."""
        later = harness.epoch("later")
        theirs = harness.engine.start(harness.spec(*FOREVER, labels={"run": "1"}), "a", 1)
        ours = later.start(harness.spec(*FOREVER, labels={"run": "1"}), "a", 1)
        assert theirs.id != ours.id
        for engine, own, other in ((harness.engine, theirs, ours), (harness.epoch("later"), ours, theirs)):
            engine.remove(other)
            assert [each.handle for each in engine.owned()] == [own]
            (beside,) = engine.of_other_epochs()
            assert (beside.handle, beside.state, beside.labels["run"]) == (other, State.RUNNING, "1")
            assert beside.created_at
            assert abs((utc_now() - beside.created_at).total_seconds()) < 600


@EVERYWHERE
class TestLooking:
    def test_into_what_runs(self, harness: Harness) -> None:
        engine = harness.engine
        handle = engine.start(harness.spec(*FOREVER), "a", 1)
        ready(engine, handle)
        lacks = engine.lacks()
        assert bool(engine.address(handle)) is (Capability.ADDRESS not in lacks)
        assert engine.probe(handle, ["true"], 20) == (125 if Capability.PROBE in lacks else 0)
        sample = engine.stats(handle)
        assert bool(sample) is (Capability.STATS not in lacks)
        if sample:
            assert sample.memory_bytes > 0
            assert sample.processes >= 1

    def test_by_a_shell_or_the_sentence_why_not(self, harness: Harness) -> None:
        engine = harness.engine
        handle = engine.start(harness.spec(*FOREVER), "a", 1)
        ready(engine, handle)
        if Capability.SHELL in engine.lacks():
            with pytest.raises(NoShell) as refused:
                engine.shell(handle, 80, 24)
            assert str(refused.value) == engine.lacks()[Capability.SHELL]
            return
        engine.shell(handle, 80, 24).close()

    def test_into_what_has_ended(self, harness: Harness) -> None:
        engine = harness.engine
        handle = engine.start(harness.spec("exit 0", Script()), "a", 1)
        engine.wait(handle)
        assert engine.address(handle) is None
        assert engine.stats(handle) is None
        assert engine.probe(handle, ["true"], 20) == 125

    def test_at_the_engine(self, harness: Harness) -> None:
        info = harness.engine.info()
        assert info.name == harness.engine.name
        assert info.version
        assert (info.cpus >= 1) is (info.memory_bytes > 0) is (Lack.SIZE not in harness.lacks)

    def test_at_an_image(self, harness: Harness) -> None:
        image = harness.spec("exit 0", Script()).image
        resolved = harness.engine.resolve(image)
        assert harness.engine.resolve(resolved.image) == resolved
        assert resolved.digest.startswith("sha256:")
        assert set(harness.engine.image_config(image)) == {"entrypoint", "command", "env"}


class TestHardening:
    """Kept, or refused by the name of what can't be; the fake runs nothing, and keeps what it was asked for."""

    SHELL = (
        "id -u; touch /there 2>/dev/null || echo read-only; touch /tmp/there && echo writable;"
        " ls /sys/class/net | xargs"
    )

    @pytest.mark.parametrize(
        ("hardening", "said"),
        [
            (Hardening(non_root=True), b"65534\nread-only\nwritable\neth0 lo\n"),
            (Hardening(read_only=True), b"0\nread-only\nwritable\neth0 lo\n"),
            (Hardening(network=Network.NONE), b"0\nwritable\nlo\n"),
            (Hardening(True, True, Network.NONE), b"65534\nread-only\nwritable\nlo\n"),
        ],
    )
    def test_is_kept_or_refused(self, harness: Harness, hardening: Hardening, said: bytes) -> None:
        spec = harness.spec(self.SHELL, Script(output=[said]), hardening=hardening)
        lacks = harness.engine.lacks()
        if missing := [Capability(name) for name in hardening.asked if name in lacks]:
            with pytest.raises(StartRefused) as refused:
                harness.engine.start(spec, "a", 1)
            assert str(refused.value) == " ".join(lacks[each] for each in missing)
            assert all(f"can't keep {each}" in lacks[each] for each in missing)
            assert harness.engine.owned() == []
            return
        handle = harness.engine.start(spec, "a", 1)
        assert text(harness.engine.logs(handle)) == said
