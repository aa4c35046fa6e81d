"""What only containers can do: isolation seen from inside, memory limits, the engine's own rules."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.domain.job.spec import Hardening
from app.domain.output import Seen, Stream
from app.engines.base import ContainerSpec, ExitKind, StartRefused, State
from app.engines.docker.logs import Logs
from app.engines.docker.output import Received
from app.engines.fake import Script
from tests.support.engine_harness import DockerHarness, docker_harness


@pytest.fixture
def harness() -> Iterator[DockerHarness]:
    with docker_harness() as harness:
        yield harness


def output(harness: DockerHarness, shell: str, **fields: object) -> str:
    handle = harness.engine.start(harness.spec(shell, Script(), **fields), "a", 1)
    return b"".join(chunk.data for chunk in harness.engine.logs(handle)).decode()


def test_hardening_seen_from_inside(harness: DockerHarness) -> None:
    seen = output(
        harness,
        "grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; ulimit -c; ulimit -n;"
        " cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; cat /proc/1/comm",
        pids_limit=77,
    ).split()
    facts = dict(zip(seen[:10:2], seen[1:10:2], strict=True))
    assert facts.pop("CapEff:") == facts.pop("CapPrm:") == facts.pop("CapBnd:") == "0" * 16
    assert facts == {"NoNewPrivs:": "1", "Seccomp:": "2"}
    assert seen[10:] == ["0", "16384", "77", "docker-init"]


def test_nothing_of_the_machine_is_reachable(harness: DockerHarness) -> None:
    handle = harness.engine.start(harness.spec("sleep 1000", Script()), "a", 1)
    found = harness.client.inspect_container(handle.id)
    assert found["Mounts"] == []
    assert found["NetworkSettings"]["Ports"] == {}
    host = found["HostConfig"]
    assert not host["Privileged"]
    assert not host["PublishAllPorts"]
    assert (host["PidMode"], host["IpcMode"] in {"private", "shareable"}, host["UTSMode"]) == ("", True, "")
    assert host["Memory"] == host["MemorySwap"] == 64 << 20


def test_jobs_reach_outside_but_not_one_another(harness: DockerHarness) -> None:
    server = harness.spec("echo ready; while true; do echo hello | nc -l -p 8000; done", Script())
    listening = harness.engine.start(server, "server", 1)
    assert next(harness.engine.logs(listening)).data == b"ready\n"
    address = harness.engine.address(listening)
    seen = output(
        harness, f"nc -w 2 {address} 8000 </dev/null 2>/dev/null || echo unreachable; ip route | head -1"
    )
    assert seen.startswith("unreachable\ndefault via ")
    assert harness.engine.info().isolation == ""


def test_out_of_memory_is_told_from_a_kill(harness: DockerHarness) -> None:
    greedy = "a=x; while true; do a=$a$a; done"
    handle = harness.engine.start(
        harness.spec(f"exec sh -c '{greedy}'", Script(), memory_bytes=16 << 20), "a", 1
    )
    ended = harness.engine.wait(handle)
    assert (ended.kind, ended.exit_code, ended.oom_killed) == (ExitKind.EXITED, 137, True)
    assert "memory" in ended.detail
    killed = harness.engine.start(harness.spec("kill -9 $$", Script()), "b", 1)
    ended = harness.engine.wait(killed)
    assert (ended.kind, ended.exit_code, ended.oom_killed) == (ExitKind.EXITED, 137, False)


def test_a_child_out_of_memory_does_not_change_the_exit_code(harness: DockerHarness) -> None:
    greedy = "a=x; while true; do a=$a$a; done"
    spec = harness.spec(f"sh -c '{greedy}'; exit 0", Script(), memory_bytes=16 << 20)
    ended = harness.engine.wait(harness.engine.start(spec, "a", 1))
    assert (ended.exit_code, ended.oom_killed) == (0, False)
    assert "memory" in ended.detail


def test_images_are_renamed_without_being_lost(harness: DockerHarness) -> None:
    repository = f"renamed-{harness.installation}"
    spec = harness.spec("echo up; sleep 100", Script())
    base = harness.engine.start(spec, "a", 1)
    image = harness.client.commit(base.id, repository, "old")["Id"]

    def new_name(name: str) -> str | None:
        return f"{name}-new" if name == f"{repository}:old" else None

    try:
        running = harness.engine.start(replace(spec, image=image), "b", 1)
        assert harness.engine.rename_images(new_name) == 1
        assert harness.engine.rename_images(new_name) == 0
        assert harness.client.inspect_image(image)["RepoTags"] == [f"{repository}:old-new"]
        assert harness.client.inspect_container(running.id)["State"]["Running"]
        harness.engine.start(replace(spec, image=image), "c", 1)
    finally:
        for found in harness.engine.owned():
            harness.engine.remove(found.handle)
        harness.client.remove_image(image, force=True)


def test_a_specification_the_engine_refuses_is_the_users(harness: DockerHarness) -> None:
    with pytest.raises(StartRefused, match=r"[Mm]emory"):
        harness.engine.start(harness.spec("exit 0", Script(), memory_bytes=1000), "a", 1)
    assert harness.engine.owned() == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([], "There is no command to run: neither the image nor the job names one."),
        (
            ["CMD true", "USER nobody-there"],
            "The engine refuses this container: unable to find user nobody-there: no matching entries in passwd file.",
        ),
        (["CMD true", "WORKDIR /etc/passwd"], "The engine refuses this container: "),
    ],
)
def test_an_image_that_can_never_start_is_refused_in_one_sentence(
    harness: DockerHarness, changes: list[str], sentence: str
) -> None:
    base = harness.client.create_container(
        harness.image, labels={"jobyard.installation": harness.installation}
    )
    image = harness.client.import_image(
        b"".join(harness.client.export(base["Id"])), repository=harness.installation, changes=changes
    )
    try:
        spec = ContainerSpec(harness.client.inspect_image(harness.installation)["Id"], memory_bytes=64 << 20)
        with pytest.raises(StartRefused) as refused:
            harness.engine.start(spec, "a", 1)
    finally:
        harness.client.remove_image(harness.installation, force=True)
    assert str(refused.value).startswith(sentence), image
    assert refused.value.exit_code is None
    assert "\n" not in str(refused.value)


def test_a_read_only_container_writes_no_volume_of_its_image(harness: DockerHarness) -> None:
    base = harness.client.create_container(
        harness.image, labels={"jobyard.installation": harness.installation}
    )
    harness.client.import_image(
        b"".join(harness.client.export(base["Id"])),
        repository=harness.installation,
        changes=["VOLUME /data", "VOLUME /tmp/"],
    )
    shell = "touch /data/there; grep -Eo ' /(data|tmp) [a-z0-9]+ ' /proc/mounts | sort | xargs"
    spec = harness.spec(shell, Script(), hardening=Hardening(read_only=True))
    try:
        image = harness.client.inspect_image(harness.installation)["Id"]
        handle = harness.engine.start(replace(spec, image=image), "a", 1)
        said = b"".join(chunk.data for chunk in harness.engine.logs(handle))
        mounts = harness.client.inspect_container(handle.id)["Mounts"]
        harness.engine.remove(handle)
    finally:
        harness.client.remove_image(harness.installation, force=True)
    assert (said, mounts) == (b"/data tmpfs /tmp tmpfs\n", [])


def test_command_and_entrypoint_replace_the_images(harness: DockerHarness) -> None:
    """The image's own command is `sh`, which would print nothing."""
    image = ContainerSpec(harness.image, memory_bytes=64 << 20)
    cases = {
        "one": replace(image, command=("echo", "one")),
        "two": replace(image, entrypoint=("echo", "two")),
        "three": replace(image, entrypoint=("echo",), command=("three",)),
    }
    for word, spec in cases.items():
        handle = harness.engine.start(spec, word, 1)
        assert b"".join(chunk.data for chunk in harness.engine.logs(handle)).decode() == f"{word}\n"


def test_a_container_of_nobodys_is_left_alone(harness: DockerHarness) -> None:
    created = harness.client.create_container(harness.image, ["sleep", "1000"])["Id"]
    try:
        mine = harness.engine.start(harness.spec("exit 0", Script()), "a", 1)
        harness.engine.remove(type(mine)("docker", "a", created, "x"))
        assert harness.client.inspect_container(created)["State"]["Status"] == "created"
        assert [owned.handle for owned in harness.engine.owned()] == [mine]
    finally:
        harness.client.remove_container(created)


def test_a_start_that_was_under_way_while_it_was_renamed_is_the_only_one(
    harness: DockerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine had resolved the earlier name, and carries that start out between our look and our start."""
    spec = harness.spec("echo started", Script())
    harness.leave_created(spec, "a")
    attach = Logs.attach

    def late_start(logs: Logs, container_id: str) -> None:
        harness.client.start(container_id)
        harness.client.wait(container_id)
        attach(logs, container_id)

    monkeypatch.setattr(Logs, "attach", late_start)
    handle = harness.engine.start(spec, "a", 1)
    assert harness.engine.wait(handle).exit_code == 0
    assert b"".join(chunk.data for chunk in harness.engine.logs(handle)) == b"started\n"
    assert b"".join(chunk.data for chunk in harness.another().logs(handle)) == b"started\n"


def test_many_short_lines_come_in_few_pieces(harness: DockerHarness) -> None:
    script = "i=0; while [ $i -lt 30000 ]; do echo one short line of many; i=$((i+1)); done"
    handle = harness.engine.start(harness.spec(script, Script(), cpus=2), "a", 1)
    began = time.monotonic()
    chunks = [chunk.data for chunk in harness.engine.logs(handle)]
    assert b"".join(chunks) == b"one short line of many\n" * 30_000
    assert len(chunks) < 50 + 600 * (time.monotonic() - began)


def test_a_flood_is_whole_although_the_engines_own_copy_is_not(harness: DockerHarness) -> None:
    """More than the engine keeps: attached, every byte arrives; read back later, the gap is told."""
    size = 60_000_000
    handle = harness.engine.start(
        harness.spec(f"yes 0123456789abcdef0123456789abcde | head -c {size}", Script(), cpus=2), "a", 1
    )
    chunks = harness.engine.logs(handle)
    first = next(chunks)
    received = Received()
    received.add(first.at, first.stream, first.data)
    for chunk in chunks:
        received.add(chunk.at, chunk.stream, chunk.data)
    assert received.sizes == {Stream.STDOUT: size}
    assert received.may_have_rotated
    later = list(harness.another().logs(handle, Seen(first.at, size // 2, 0, received.lines // 2)))
    assert later[0].stream is Stream.SYSTEM
    assert b"may be missing" in later[0].data
    assert sum(len(chunk.data) for chunk in later[1:]) < size
    assert [owned.state for owned in harness.engine.owned()] == [State.EXITED]


def test_an_image_goes_by_its_names_unless_a_container_has_it(harness: DockerHarness) -> None:
    one, two = (f"kept-{harness.installation}:{tag}" for tag in ("one", "two"))
    spec = harness.spec("echo up; sleep 100", Script())
    base = harness.engine.start(spec, "a", 1)
    image = harness.client.commit(base.id, *one.split(":"))["Id"]
    harness.client.tag(image, *two.split(":"))
    try:
        (found,) = [each for each in harness.engine.images() if one in each.names]
        assert set(found.names) == {one, two}
        assert found.digests == {image}
        assert found.bytes > 0
        using = harness.engine.start(replace(spec, image=image), "b", 1)
        assert harness.engine.remove_image(one)
        assert not harness.engine.remove_image(two)
        harness.engine.remove(using)
        assert harness.engine.remove_image(two)
        assert harness.engine.remove_image(two), "what is gone is no error"
        assert not [each for each in harness.engine.images() if image in each.digests]
    finally:
        for each in harness.engine.owned():
            harness.engine.remove(each.handle)
