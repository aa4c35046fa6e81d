"""Rules of the packet filter as text, and when they can't be set."""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest

from app.domain.egress import Reach, read_reach
from app.engines.docker.egress import namespace
from app.engines.docker.egress.namespace import NotFilterable, engine_namespace
from app.engines.docker.egress.resolvers import nameservers
from app.engines.docker.egress.rules import Fence, ours, removing, restoring
from app.engines.docker.request import job_network
from app.engines.process.engine import NOT_CONFINED

FENCE = Fence("docker0", "one", read_reach("internet"))
ALL = (1 << 64) - 1  # rights that a process may have
SAVED = """*filter
:INPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
:JOBYARD-one-F - [0:0]
-A INPUT -i docker0 -j JOBYARD-one-I
-A INPUT -p tcp -j ACCEPT
-A DOCKER-USER -i docker0 -j JOBYARD-one-F
-A DOCKER-USER -j RETURN
-A JOBYARD-one-F -d 10.0.0.0/8 -j JOBYARD-one-R
-A JOBYARD-one-R -p tcp -j REJECT --reject-with tcp-reset
COMMIT
"""


def test_jumps_are_replaced_in_the_same_change() -> None:
    lines = restoring(SAVED, [FENCE], [], 4).splitlines()
    assert lines.index("-D INPUT -i docker0 -j JOBYARD-one-I") < lines.index(
        "-I INPUT -i docker0 -j JOBYARD-one-I"
    )
    assert lines.count("-D DOCKER-USER -i docker0 -j JOBYARD-one-F") == 1
    assert not any(line.startswith("-D JOBYARD") for line in lines)
    assert (lines[0], lines[-1]) == ("*filter", "COMMIT")


def test_without_a_chain_of_dockers_the_rules_are_where_packets_are_forwarded() -> None:
    assert "-I FORWARD -i docker0 -j JOBYARD-one-F" in restoring("", [FENCE], [], 4)
    assert "-I DOCKER-USER -i docker0 -j JOBYARD-one-F" in restoring(SAVED, [FENCE], [], 4)


def test_rules_count_only_where_they_come_first() -> None:
    assert len(ours(SAVED, [FENCE])) == 4
    overruled = SAVED.replace("-A INPUT -i", "-A INPUT -j ACCEPT\n-A INPUT -i")
    assert ours(overruled, [FENCE]) == ()
    after_anothers = SAVED.replace("-A INPUT -i", "-A INPUT -i br0 -j JOBYARD-two-I\n-A INPUT -i")
    assert ours(after_anothers, [FENCE]) == ours(SAVED, [FENCE])


def test_only_what_is_there_is_removed() -> None:
    assert removing(SAVED, [FENCE]).splitlines() == [
        "*filter",
        "-D INPUT -i docker0 -j JOBYARD-one-I",
        "-D DOCKER-USER -i docker0 -j JOBYARD-one-F",
        "-F JOBYARD-one-F",
        "-X JOBYARD-one-F",
        "COMMIT",
    ]


def test_names_are_as_long_as_the_systems_take() -> None:
    every = [frozenset(some) for number in range(4) for some in itertools.combinations(Reach, number)]
    networks = [job_network(reach) for reach in every]
    bridges = [each["options"]["com.docker.network.bridge.name"] for each in networks]
    assert len({each["name"] for each in networks}) == len(set(bridges)) == len(every)
    assert max(map(len, bridges)) <= 15
    assert max(len(chain) for chain in Fence("b", "x" * 40, every[0]).chains) <= 28


def test_name_servers_are_those_that_containers_are_given(tmp_path: Path) -> None:
    resolver, daemon = tmp_path / "resolv.conf", tmp_path / "daemon.json"
    resolver.write_text(
        "# made\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver x\n"
    )
    daemon.write_text('{"dns": ["192.0.2.54"]}')
    files = [resolver, tmp_path / "none"]
    assert nameservers(files, daemon) == tuple(map(ip_address, ("192.0.2.53", "192.0.2.54", "fe80::1")))
    daemon.write_text("[]")
    assert nameservers([], daemon) == ()


def refusal(url: str, *bridges: str) -> str:
    with pytest.raises(NotFilterable) as refused:
        engine_namespace(url, frozenset(bridges))
    return str(refused.value)


@pytest.fixture
def listening(tmp_path: Path) -> str:
    path = tmp_path / "engine.sock"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()
        yield f"unix://{path}"


def test_where_the_filter_is_not_the_servers_it_is_said_why(
    listening: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespace, "_capabilities", lambda: ALL)
    assert refusal("tcp://192.0.2.1:2375") == "the engine is on another machine."
    assert (
        refusal(f"unix://{tmp_path}/none.sock") == "the engine does not answer (No such file or directory)."
    )
    assert refusal(listening, "no-such-bridge") == (
        "the server is not where the engine has its networks, as in a container, or beside a virtual machine."
    )
    assert engine_namespace(listening, frozenset({"lo"})).pid == os.getpid()
    monkeypatch.setattr(namespace, "_capabilities", lambda: 0)
    assert refusal(listening) == "the server may not change packet filters (it has no CAP_NET_ADMIN)."


def test_a_missing_program_is_named(listening: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(namespace, "_capabilities", lambda: ALL)
    here = engine_namespace(listening, frozenset())
    monkeypatch.setattr(namespace, "_SEARCH_PATH", str(tmp_path))
    with pytest.raises(NotFilterable, match="iptables-save is not installed"):
        here.saved(4)
    broken = tmp_path / "iptables-save"
    broken.write_text("#!/bin/sh\necho 'iptables: it is broken.' >&2; exit 3\n")
    broken.chmod(0o755)
    with pytest.raises(NotFilterable, match=r"iptables-save fails \(iptables: it is broken\)\."):
        here.saved(4)


def test_processes_are_not_confined() -> None:
    assert NOT_CONFINED == (
        "Jobs and builds are processes of this machine, and reach whatever it does: JOBYARD_EGRESS counts for"
        " containers alone."
    )
