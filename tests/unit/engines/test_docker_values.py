"""The pure parts of the Docker engine: requests, frames, states, references."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.job.spec import Hardening, Network
from app.engines.base import ContainerSpec, ExitKind, StartRefused, State, Stream
from app.engines.docker.frames import (
    HEADER,
    BrokenFrame,
    Demultiplexer,
    merged,
    parse_entry,
    parse_time,
)
from app.engines.docker.images import split_environment, split_reference
from app.engines.docker.output import AfterTime, BeyondCount, Received
from app.engines.docker.request import container_body, container_name, user_of
from app.engines.docker.state import read_exit, read_sample, read_state

STREAMS = st.sampled_from([Stream.STDOUT, Stream.STDERR])
PIECES = st.lists(st.tuples(STREAMS, st.binary(max_size=40)))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def framed(pieces: list[tuple[Stream, bytes]]) -> bytes:
    return b"".join(HEADER.pack(stream, len(data)) + data for stream, data in pieces)


@given(PIECES, st.lists(st.integers(0, 400)))
def test_frames_come_out_alike_wherever_the_stream_is_cut(
    pieces: list[tuple[Stream, bytes]], cuts: list[int]
) -> None:
    wire = framed(pieces)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    frames = Demultiplexer()
    out = [piece for a, b in itertools.pairwise(edges) for piece in frames.feed(wire[a:b])]
    assert out == pieces
    assert frames.is_between_frames
    joined = list(merged(iter(pieces)))
    for stream in (Stream.STDOUT, Stream.STDERR):
        assert b"".join(d for s, d in joined if s is stream) == b"".join(d for s, d in pieces if s is stream)
    assert all(a[0] is not b[0] for a, b in itertools.pairwise(joined))


def test_a_frame_of_an_unknown_stream_is_broken() -> None:
    with pytest.raises(BrokenFrame):
        list(Demultiplexer().feed(HEADER.pack(7, 1) + b"x"))
    with pytest.raises(BrokenFrame):
        parse_entry(Stream.STDOUT, b"no-time")


def test_times_keep_microseconds() -> None:
    assert parse_time("2026-01-02T03:04:05Z") == NOW
    assert parse_time("2026-01-02T03:04:05.1234567Z") == NOW.replace(microsecond=123456)


@given(PIECES, st.integers(0, 200))
def test_beyond_what_was_received_nothing_is_twice_or_missing(
    pieces: list[tuple[Stream, bytes]], count: int
) -> None:
    """Whatever part of each stream was received, in whatever chunks, the copy brings exactly the rest."""
    wholes = {s: b"".join(d for stream, d in pieces if stream is s) for s in (Stream.STDOUT, Stream.STDERR)}
    received = Received()
    for stream, whole in wholes.items():
        received.add(NOW, stream, whole[: min(count, len(whole))])
    sieve = BeyondCount(received)
    rest = {Stream.STDOUT: b"", Stream.STDERR: b""}
    for stream, data in pieces:
        rest[stream] += sieve.fresh(parse_entry(stream, b"2026-01-02T03:04:05.000000000Z " + data))
    assert {s: wholes[s][:count] + rest[s] for s in rest} == wholes


def test_after_a_time_the_engines_nanoseconds_do_not_repeat_a_chunk() -> None:
    def entry(fraction: str, data: bytes) -> bytes:
        return AFTER.fresh(parse_entry(Stream.STDOUT, f"2026-01-02T03:04:05.{fraction}Z ".encode() + data))

    AFTER = AfterTime(NOW.replace(microsecond=5))
    assert entry("000004000", b"old") == b""
    assert entry("000005999", b"same microsecond") == b""
    assert entry("000006000", b"new") == b"new"
    assert not AFTER.gap
    late = AfterTime(NOW)
    assert late.fresh(parse_entry(Stream.STDOUT, b"2026-01-02T03:04:06.000000000Z x")) == b"x"
    assert late.gap


def test_the_engines_copy_is_trusted_only_while_it_must_be_whole() -> None:
    received = Received()
    received.add(NOW, Stream.STDOUT, b"x" * 15_000_000)
    assert not received.may_have_rotated
    received.add(NOW, Stream.STDERR, b"\n" * 20_000)
    assert received.may_have_rotated


NAMES = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    st.builds(
        ContainerSpec,
        image=NAMES,
        command=st.none() | st.lists(NAMES).map(tuple),
        entrypoint=st.none() | st.lists(NAMES).map(tuple),
        env=st.dictionaries(NAMES, NAMES),
        labels=st.dictionaries(NAMES | st.just("jobyard.key"), NAMES),
    )
)
def test_no_specification_reaches_the_machine(spec: ContainerSpec) -> None:
    body = container_body(spec, "key", "here", "jobyard")
    host = body["HostConfig"]
    assert set(host) == {
        "NetworkMode", "CapDrop", "SecurityOpt", "Init", "PidsLimit", "NanoCpus", "Memory", "MemorySwap",
        "Ulimits", "LogConfig", "RestartPolicy",
    }  # fmt: skip
    assert set(body) == {
        "Image", "Cmd", "Entrypoint", "Env", "Labels", "AttachStdout", "AttachStderr", "StopSignal",
        "StopTimeout", "Healthcheck", "HostConfig",
    }  # fmt: skip
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
    assert host["Memory"] == host["MemorySwap"] == spec.memory_bytes
    assert (body["Labels"]["jobyard.key"], body["Labels"]["jobyard.installation"]) == ("key", "here")


def test_commands_and_environment_as_the_api_spells_them() -> None:
    spec = ContainerSpec("i", entrypoint=(), command=("a b", "c"), env={"A": "1=2", "B": ""}, cpus=0.1)
    body = container_body(spec, "k", "i", "bridge")
    assert (body["Entrypoint"], body["Cmd"]) == ([""], ["a b", "c"])
    assert body["Env"] == ["A=1=2", "B="]
    assert body["HostConfig"]["NanoCpus"] == 100_000_000
    own = container_body(ContainerSpec("i"), "k", "i", "bridge")
    assert (own["Entrypoint"], own["Cmd"]) == (None, None)


def test_what_a_container_may_write_as_the_api_spells_it() -> None:
    body = container_body(ContainerSpec("i", disk_bytes=5 << 20), "k", "i", "bridge")
    assert body["HostConfig"]["StorageOpt"] == {"size": "5242880"}


def test_what_a_container_may_less_than_others() -> None:
    hardening = Hardening(non_root=True, read_only=True, network=Network.NONE)
    spec = ContainerSpec("i", memory_bytes=64 << 20, hardening=hardening)
    body = container_body(spec, "k", "i", "bridge", user=user_of(spec, ""))
    assert body["User"] == "65534:65534"
    host = body["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"]) == ("none", True)
    in_memory = "rw,nosuid,nodev,exec,mode=1777,size=33554432"
    assert host["Tmpfs"] == {"/tmp": in_memory}
    declared = container_body(spec, "k", "i", "bridge", volumes=("/data/", "/tmp", "logs"))
    assert declared["HostConfig"]["Tmpfs"] == {"/data": in_memory, "/logs": in_memory, "/tmp": in_memory}
    others = container_body(ContainerSpec("i"), "k", "i", "bridge", volumes=("/data",))
    assert "Tmpfs" not in others["HostConfig"]


@pytest.mark.parametrize("root", ["", "root", "0", "0:0", "00", "root:wheel"])
def test_root_gives_way_to_nobody_where_it_must(root: str) -> None:
    assert user_of(ContainerSpec("i"), root) is None
    assert user_of(ContainerSpec("i", hardening=Hardening(non_root=True)), root) == "65534:65534"


def test_the_image_keeps_a_user_that_is_known_not_to_be_root() -> None:
    spec = ContainerSpec("i", hardening=Hardening(non_root=True))
    assert user_of(spec, "10001:0") is None
    with pytest.raises(StartRefused) as refused:
        user_of(spec, "toor")
    assert str(refused.value) == (
        "The image runs as user toor, and non_root needs a number to know that this is not root: give the number in its"
        " Dockerfile, such as USER 1000."
    )


def test_names_suit_the_engine() -> None:
    assert container_name("run 7/ä", 3, "abcd") == "jy-run-7---t3-abcd"


def state(**changes: Any) -> dict[str, Any]:
    return {
        "Status": "exited",
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "StartedAt": "2026-01-02T03:04:05.5Z",
        "FinishedAt": "2026-01-02T03:04:06Z",
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"},
        {"Status": "running", "FinishedAt": "0001-01-01T00:00:00Z"},
        {"Status": "dead"},
        {"FinishedAt": "0001-01-01T00:00:00Z"},
        {"FinishedAt": "2026-01-02T03:03:00Z"},
        {"ExitCode": -1},
    ],
)
def test_exit_code_0_alone_is_no_success(changes: dict[str, Any]) -> None:
    ended = read_exit(state(**changes))
    assert (ended.kind, ended.exit_code) == (ExitKind.ENGINE_FAILED, None)
    assert ended.detail.endswith(".")


def test_an_end_that_the_engine_saw_counts_though_the_clock_was_set_back_before_it() -> None:
    ended = read_exit(state(FinishedAt="2026-01-02T02:04:05Z", ExitCode=3), was_seen=True)
    assert (ended.kind, ended.exit_code) == (ExitKind.EXITED, 3)
    never = read_exit(state(FinishedAt="0001-01-01T00:00:00Z"), was_seen=True)
    assert never.kind is ExitKind.ENGINE_FAILED


def test_an_end_before_the_noted_start_is_one_of_a_short_process() -> None:
    ended = read_exit(state(FinishedAt="2026-01-02T03:04:05.4Z"))
    assert ended.kind is ExitKind.EXITED
    assert ended.started_at == ended.finished_at


@pytest.mark.parametrize(
    ("code", "oom", "killed_for_memory"), [(137, True, True), (0, True, False), (137, False, False)]
)
def test_out_of_memory_is_137_and_the_engines_word(code: int, oom: bool, killed_for_memory: bool) -> None:
    ended = read_exit(state(ExitCode=code, OOMKilled=oom))
    assert (ended.exit_code, ended.oom_killed, bool(ended.detail)) == (code, killed_for_memory, oom)


def test_states() -> None:
    alive = {"running", "paused", "restarting"}
    assert {read_state(status) for status in alive} == {State.RUNNING}
    assert {read_state(status) for status in ("exited", "dead", "removing")} == {State.EXITED}
    assert read_state("created") is State.CREATED


def test_cpu_is_since_the_last_reading_and_memory_without_cache() -> None:
    def stats(second: int, used: int) -> dict[str, Any]:
        return {
            "read": f"2026-01-02T03:04:0{second}.0Z",
            "cpu_stats": {"cpu_usage": {"total_usage": used}},
            "memory_stats": {"usage": 100, "stats": {"inactive_file": 30}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 3, "tx_bytes": 4}},
            "pids_stats": {"current": 5},
        }

    first = read_sample(stats(0, 1_000_000_000), None)
    assert first
    second = read_sample(stats(2, 4_000_000_000), first[1])
    assert second
    assert (first[0].cpu_cores, second[0].cpu_cores) == (0.0, 1.5)
    sample = second[0]
    assert (sample.memory_bytes, sample.network_rx_bytes, sample.network_tx_bytes, sample.processes) == (
        70,
        4,
        6,
        5,
    )
    assert read_sample({"read": "0001-01-01T00:00:00Z", "memory_stats": {}}, None) is None


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("busybox", ("busybox", "latest")),
        ("a/b:1", ("a/b", "1")),
        ("host:5000/a", ("host:5000/a", "latest")),
        ("host:5000/a:1@sha256:0", ("host:5000/a", "sha256:0")),
    ],
)
def test_references(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts


def test_environment_of_an_image() -> None:
    assert split_environment(["A=1=2", "B="]) == {"A": "1=2", "B": ""}
    assert split_environment(None) == {}
