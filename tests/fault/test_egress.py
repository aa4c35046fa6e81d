"""What jobs and builds reach, tried from inside of them, on an engine with a network of its own around it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from itertools import count
from pathlib import Path

import docker
import pytest

from app.domain.addresses import Address
from app.domain.egress import Egress, read_reach
from app.engines.base import Confinement, ContainerSpec
from app.engines.docker import DockerEngine
from app.engines.docker.access import Access
from app.engines.docker.calls import Calls
from app.engines.docker.egress import EgressKeeper
from app.engines.docker.egress.keeper import LOOKED_EVERY, OPEN_BRIDGE
from app.engines.docker.egress.rules import PREFIX
from builders.backends.base import BuildRequest
from builders.backends.buildkit import BuildKitCli
from tests.support.engine_harness import utc_now
from tests.support.private_engine import PrivateEngine, private_engine
from tests.support.server import jobyard_server
from tests.support.surroundings import (
    ALIBABA,
    FAR_AWAY,
    HOST,
    METADATA,
    METADATA_6,
    PRIVATE,
    PRIVATE_6,
    PUBLIC,
    PUBLIC_6,
    SHARED,
    Surroundings,
    surroundings,
)

GATEWAY = "172.17.0.1"
INTERNET, INTERNET_6 = {PUBLIC}, {PUBLIC_6}
PRIVATES = {PRIVATE, SHARED}
OF_HOST = {HOST, GATEWAY}
NEVER = {METADATA, ALIBABA, METADATA_6}
KEYS = count(1)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    flags = ("--ipv6", "--fixed-cidr-v6=fd00:d0c::/64")
    with private_engine(tmp_path_factory.mktemp("engine"), live_restore=False, flags=flags) as engine:
        yield engine


@pytest.fixture(scope="module")
def around(private: PrivateEngine) -> Iterator[Surroundings]:
    with surroundings(private.pid) as around:
        yield around


@pytest.fixture(autouse=True)
def leaves_nothing(private: PrivateEngine, around: Surroundings) -> Iterator[None]:
    with closing(docker.APIClient(base_url=private.url, version="1.41", timeout=60)) as client:
        client.prune_networks()  # asking the engine whether it is up has made one
        before = around.here("iptables-save", "-t", "filter")
        yield
        client.prune_networks()
    around.here("iptables-restore", given=before)
    around.here("ip6tables", "-F")


@contextmanager
def engine_of(
    private: PrivateEngine, reach: str, *, isolated: bool = False, installation: str = "one"
) -> Iterator[DockerEngine]:
    engine = DockerEngine(
        url=private.url,
        installation=installation,
        clock=utc_now,
        isolate_network=isolated,
        egress=Egress(read_reach(reach)),
        confines=True,
    )
    with closing(engine):
        yield engine


def attempts(*ports: int) -> str:
    """A shell's script that prints each place which answers."""
    places = [
        f"[{each}]:{port}" if ":" in each else f"{each}:{port}"
        for each in (*FAR_AWAY, HOST, GATEWAY)
        for port in ports or (80,)
    ]
    return (
        "; ".join(f"wget -q -T 5 -O /dev/null http://{each}/ && echo reached {each}" for each in places)
        + "; true"
    )


def reached(output: str) -> set[str]:
    found = {
        line.split("reached ")[1] for line in output.splitlines() if "reached [" in line or "reached " in line
    }
    return {each.removesuffix(":80").strip("[]") for each in found if "wget" not in each}


def job(engine: DockerEngine, private: PrivateEngine, script: str = attempts()) -> set[str]:
    spec = ContainerSpec(private.image, command=("sh", "-c", script), memory_bytes=64 << 20)
    handle = engine.start(spec, f"job-{next(KEYS)}", 1)
    output = b"".join(chunk.data for chunk in engine.logs(handle)).decode()
    engine.remove(handle)
    return reached(output)


def build(private: PrivateEngine, directory: Path) -> set[str]:
    output = bytearray()
    BuildKitCli(private.url).build(
        BuildRequest(directory, dockerfile_text=f"FROM busybox:latest\nRUN {attempts()}\n", no_cache=True),
        on_output=output.extend,
        on_step=lambda step: None,
        should_stop=threading.Event(),
        time_limit_seconds=120,
    )
    lines = [line for line in output.decode().splitlines() if "wget" not in line]
    return reached("\n".join(lines))


ALLOWED = {
    "internet,private": INTERNET | PRIVATES,
    "internet": INTERNET,
    "private,host": PRIVATES | OF_HOST,
    "internet,private,host": INTERNET | PRIVATES | OF_HOST,
    "none": set(),
}


@pytest.mark.parametrize("reach", ALLOWED)
def test_jobs_and_builds_reach_what_the_setting_says(
    private: PrivateEngine, around: Surroundings, tmp_path: Path, reach: str
) -> None:
    over_6 = {PUBLIC: PUBLIC_6, PRIVATE: PRIVATE_6}
    wanted = ALLOWED[reach]
    on_default_bridge = wanted | {over_6[each] for each in wanted if each in over_6}
    with engine_of(private, reach) as engine:
        assert engine.confine() == ""
        assert job(engine, private) == on_default_bridge
        assert build(private, tmp_path) == on_default_bridge
    with engine_of(private, reach, isolated=True) as engine:  # its network has no IPv6
        assert job(engine, private) == wanted


def test_without_rules_everything_is_reached(private: PrivateEngine, around: Surroundings) -> None:
    with closing(
        DockerEngine(url=private.url, installation="bare", clock=utc_now, isolate_network=False)
    ) as engine:
        assert job(engine, private) == {*FAR_AWAY, HOST, GATEWAY}


class Ticks:
    at = 100.0

    def __call__(self) -> float:
        return self.at


def keeper(
    private: PrivateEngine, ticks: Ticks, *resolvers: Address, installation: str = "one"
) -> EgressKeeper:
    egress = Egress(read_reach("internet"))
    calls = Calls(Access(private.url), 10)
    return EgressKeeper(calls, installation, egress, ticks=ticks, resolvers=lambda: resolvers)


def rules(around: Surroundings) -> list[str]:
    saved = around.here("iptables-save", "-t", "filter")
    return [line for line in saved.splitlines() if not line.startswith("#")]


def test_rules_that_somebody_removes_are_set_again(private: PrivateEngine, around: Surroundings) -> None:
    ticks = Ticks()
    kept = keeper(private, ticks)
    assert kept.keep() == ""
    wanted = rules(around)
    for command in (
        ("-F", "INPUT"),
        ("-F", "DOCKER-USER"),
        ("-F", f"{PREFIX}one-F"),
        ("-I", "INPUT", "-j", "ACCEPT"),
    ):
        around.here("iptables", *command)
        assert kept.keep() == ""
        assert rules(around) != wanted
        ticks.at += LOOKED_EVERY
        assert kept.keep() == ""
        ours = [line for line in rules(around) if PREFIX in line]
        assert ours == [line for line in wanted if PREFIX in line]
        assert PREFIX in next(line for line in rules(around) if line.startswith("-A INPUT"))


def test_rules_outlast_a_restart_of_the_engine(private: PrivateEngine, around: Surroundings) -> None:
    assert keeper(private, Ticks()).keep() == ""
    before = sorted(line for line in rules(around) if PREFIX in line)
    private.end(signal.SIGKILL)
    private.start()
    assert sorted(line for line in rules(around) if PREFIX in line) == before
    with engine_of(private, "internet", installation="other") as engine:
        assert job(engine, private) == {PUBLIC, PUBLIC_6}


def test_two_installations_keep_their_own_rules_and_leave_those_of_others(
    private: PrivateEngine, around: Surroundings
) -> None:
    around.here("iptables", "-A", "INPUT", "-s", "192.0.2.9/32", "-j", "DROP")
    bare = rules(around)
    ticks = Ticks()
    first, second = keeper(private, ticks), keeper(private, ticks, installation="two")
    for _ in range(2):
        assert (first.keep(), second.keep()) == ("", "")
        ticks.at += LOOKED_EVERY
    both = rules(around)
    assert [line for line in both if PREFIX not in line] == bare
    second.release()
    first.keep()
    assert rules(around) == [line for line in both if f"{PREFIX}two" not in line]
    first.release()
    assert rules(around) == bare


def test_other_containers_of_the_default_bridge_are_left_alone(
    private: PrivateEngine, around: Surroundings
) -> None:
    client = docker.APIClient(base_url=private.url, version="1.41", timeout=60)
    with closing(client), engine_of(private, "none") as engine:
        created = client.create_container(private.image, ["sleep", "1000"])
        client.start(created)
        try:
            engine.confine()
            command = client.exec_create(created["Id"], ["sh", "-c", attempts()])
            output = client.exec_start(command["Id"]).decode()
            assert reached(output) == {*FAR_AWAY, HOST, GATEWAY}
            assert job(engine, private) == set()
        finally:
            client.remove_container(created, force=True)


def test_rules_stay_while_a_job_runs(private: PrivateEngine, around: Surroundings) -> None:
    spec = ContainerSpec(private.image, command=("sleep", "1000"), memory_bytes=64 << 20)
    with engine_of(private, "internet") as engine:
        handle = engine.start(spec, "long", 1)
        engine.unconfine()
        assert any(f"{PREFIX}one" in line for line in rules(around))
        engine.remove(handle)
        engine.unconfine()
        assert not any(f"{PREFIX}one" in line for line in rules(around))


def test_name_servers_are_asked_wherever_they_are_and_for_nothing_else(
    private: PrivateEngine, around: Surroundings
) -> None:
    resolvers = [ip_address(each) for each in (PRIVATE, METADATA, GATEWAY)]
    assert keeper(private, Ticks(), *resolvers).keep() == ""
    with closing(
        DockerEngine(url=private.url, installation="one", clock=utc_now, isolate_network=False)
    ) as engine:
        found = job(engine, private, attempts(80, 53))
    assert {each for each in found if ":" not in each or each.count(":") == 1} == {
        PUBLIC,
        f"{PUBLIC}:53",
        *(f"{each}:53" for each in (PRIVATE, METADATA, GATEWAY)),
    }


def test_an_answer_to_the_machine_gets_through(private: PrivateEngine, around: Surroundings) -> None:
    server = "echo ready; while true; do echo hello | nc -l -p 8000; done"
    spec = ContainerSpec(private.image, command=("sh", "-c", server), memory_bytes=64 << 20)
    with engine_of(private, "none") as engine:
        handle = engine.start(spec, "server", 1)
        assert next(engine.logs(handle)).data == b"ready\n"
        said = around.here("bash", "-c", f"exec 3<>/dev/tcp/{engine.address(handle)}/8000; cat <&3")
        engine.remove(handle)
    assert said == "hello\n"


def test_an_open_bridge_is_left_alone_and_told_of(private: PrivateEngine, around: Surroundings) -> None:
    bare = rules(around)
    egress = Egress(read_reach("none"), on_default_bridge=False)
    kept = EgressKeeper(Calls(Access(private.url), 10), "one", egress)
    assert kept.keep() == ""
    assert kept.confinement().trouble == OPEN_BRIDGE
    assert not any("-i docker0 -j JOBYARD" in line for line in rules(around))
    assert [line for line in rules(around) if PREFIX not in line] == bare


def test_the_printed_commands_do_the_same(private: PrivateEngine, around: Surroundings) -> None:
    ticks = Ticks()
    kept = keeper(private, ticks)
    around.here("bash", "-c", kept.by_hand())
    by_hand = sorted(rules(around))
    assert kept.confinement() == Confinement(is_set=True)
    kept.keep()
    assert sorted(rules(around)) == by_hand
    around.here("iptables", "-F", "INPUT")
    assert kept.confinement() == Confinement(is_set=False)


def test_a_job_on_a_network_of_its_own_keeps_the_rules_it_was_started_with(
    private: PrivateEngine, around: Surroundings
) -> None:
    spec = ContainerSpec(
        private.image,
        command=("sh", "-c", f"mkfifo /tmp/go; read line </tmp/go; {attempts()}"),
        memory_bytes=64 << 20,
    )
    with engine_of(private, "none", isolated=True) as before:
        handle = before.start(spec, "long", 1)
    with engine_of(private, "internet", isolated=True) as after:
        assert job(after, private) == {PUBLIC}
        assert after.probe(handle, ["sh", "-c", "echo go >/tmp/go"], 10) == 0
        output = b"".join(chunk.data for chunk in after.logs(handle)).decode()
        after.remove(handle)
    assert reached(output) == set()


def test_metadata_is_not_reached_either_where_the_machine_leads_it_to_itself(
    private: PrivateEngine, around: Surroundings
) -> None:
    leading = ("PREROUTING", "-d", METADATA, "-p", "tcp", "-j", "DNAT", "--to", f"{HOST}:80")
    around.here("iptables", "-t", "nat", "-I", *leading)
    try:
        with engine_of(private, "internet,private,host") as engine:
            assert job(engine, private) & NEVER == set()
    finally:
        around.here("iptables", "-t", "nat", "-D", *leading)


def test_a_published_port_is_the_hosts(private: PrivateEngine, around: Surroundings) -> None:
    publish = ("PREROUTING", "-d", HOST, "-p", "tcp", "--dport", "8080", "-j", "DNAT", "--to", f"{PUBLIC}:80")
    around.here("iptables", "-t", "nat", "-I", *publish)
    script = f"wget -q -T 5 -O /dev/null http://{HOST}:8080/ && echo reached {HOST}:8080; true"
    try:
        for reach, wanted in (("internet", set()), ("host", {f"{HOST}:8080"})):
            with engine_of(private, reach) as engine:
                assert job(engine, private, script) == wanted
    finally:
        around.here("iptables", "-t", "nat", "-D", *publish)


def test_a_server_sets_the_rules_and_takes_them_along(
    private: PrivateEngine, around: Surroundings, tmp_path: Path
) -> None:
    bare = rules(around)
    settings = {"docker_host": private.url, "egress": "private", "egress_bridge": "filtered"}
    with jobyard_server(tmp_path / "data", **settings) as server:
        server.wait_for("the engine is up", lambda: server.http.get("/readyz").status_code == 200, 60)
        assert server.http.get("/readyz").json()["egress"] == ""
        assert f"-A INPUT -i docker0 -j {PREFIX}{server.installation}-I" in rules(around)
        server.stop()
        assert rules(around) == bare
