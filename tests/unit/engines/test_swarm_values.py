"""What a Swarm is asked for, and what its answers mean."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.engines.base import ContainerSpec, ExitKind, RegistryLogin, State
from app.engines.swarm.request import moved_nowhere, registry_auth, service_body, service_name
from app.engines.swarm.tasks import Service, is_over, is_silent, read_exit, read_nodes, read_service

IMAGE = f"registry.example.com/team/report@sha256:{'a' * 64}"
NOW = "2030-01-01T00:00:00.123456789Z"


def body(**fields: Any) -> Any:
    return service_body(ContainerSpec(IMAGE, **fields), "run-7-1-0", "us")


def service(state: str, *, may_overlap: bool = False, node: str | None = "n1", **status: Any) -> Service:
    """One whose only task is in a state; `node` is the id of its node, of which n1 is up and n2 is down."""
    nodes = {
        "n1": {"Description": {"Hostname": "first"}, "Status": {"State": "ready"}},
        "n2": {"Description": {"Hostname": "second"}, "Status": {"State": "down"}},
    }
    found = {
        "ID": "s",
        "CreatedAt": NOW,
        "Version": {"Index": 1},
        "Spec": body(may_overlap=may_overlap),
    }
    task = {
        "ServiceID": "s",
        "CreatedAt": NOW,
        "NodeID": node,
        "Status": {"State": state, "Timestamp": NOW, **status},
    }
    return read_service(found, [task], nodes)


def container(code: int) -> dict[str, Any]:
    return {"ContainerStatus": {"ContainerID": "c", "ExitCode": code}}


def test_a_service_runs_once_and_is_never_of_job_mode() -> None:
    made = body()
    assert made["Mode"] == {"Replicated": {"Replicas": 1}}
    assert made["TaskTemplate"]["RestartPolicy"] == {"Condition": "none"}


def test_a_plan_is_reserved_and_is_the_limit() -> None:
    resources = body(cpus=0.5, memory_bytes=64 << 20, pids_limit=9)["TaskTemplate"]["Resources"]
    size = {"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20}
    assert resources == {"Limits": {**size, "Pids": 9}, "Reservations": size}


def test_labels_of_nodes_are_constraints() -> None:
    made = body(node_labels={"zone": "a", "disk": "ssd"})
    assert made["TaskTemplate"]["Placement"] == {
        "Constraints": ["node.labels.disk==ssd", "node.labels.zone==a"]
    }


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, {}),
        ({"command": ("a", "b")}, {"Args": ["a", "b"]}),
        ({"entrypoint": ("x",)}, {"Command": ["x"]}),
        ({"entrypoint": ("x",), "command": ("a",)}, {"Command": ["x"], "Args": ["a"]}),
        ({"entrypoint": (), "command": ("a", "b")}, {"Command": ["a"], "Args": ["b"]}),
    ],
)
def test_commands_replace_what_they_replace_with_docker(
    fields: dict[str, Any], asked: dict[str, Any]
) -> None:
    made = body(**fields)["TaskTemplate"]["ContainerSpec"]
    assert {name: made[name] for name in ("Command", "Args") if name in made} == asked


def test_names_tell_keys_labels_and_nothing_else_apart() -> None:
    one = service_name("run-7-1-0", {"run": "report-7"})
    assert one == service_name("run-7-1-0", {"run": "report-7"})
    assert (
        len({one, service_name("run-7-1-1", {"run": "report-7"}), service_name("run-7-1-0", {"run": "b"})})
        == 3
    )
    assert len(service_name("k" * 500, {})) <= 63


def test_a_log_in_is_a_header() -> None:
    header = registry_auth(RegistryLogin("acme", "secret"), "registry.example.com")["X-Registry-Auth"]
    assert json.loads(base64.urlsafe_b64decode(header))["password"] == "secret"
    assert registry_auth(None, "registry.example.com") == {}


@pytest.mark.parametrize("code", [0, 7, 255])
def test_a_process_that_ended_has_its_code(code: int) -> None:
    found = read_exit(service("complete" if code == 0 else "failed", **container(code)))
    assert (found.kind, found.exit_code) == (ExitKind.EXITED, code)
    assert found.finished_at == datetime(2030, 1, 1, 0, 0, 0, 123456, UTC)


def test_what_was_shut_down_by_others_has_none_of_its_own() -> None:
    found = read_exit(service("shutdown", **container(143)))
    assert (found.kind, found.exit_code) == (ExitKind.ENGINE_FAILED, 143)
    assert "node first" in found.detail


def test_what_a_node_rejected_never_ran() -> None:
    found = read_exit(service("rejected", Err="No such image: x"))
    assert (found.kind, found.exit_code) == (ExitKind.ENGINE_FAILED, None)
    assert "No such image: x" in found.detail


def test_a_code_before_the_end_says_nothing() -> None:
    """A container that is being started has one: 0."""
    found = service("starting", **container(0))
    assert found.exit_code is None
    assert not is_over(found)


def test_a_node_that_is_down_ends_the_waiting_for_what_may_overlap_alone() -> None:
    patient, hasty = service("running", node="n2"), service("running", node="n2", may_overlap=True)
    assert (patient.lost_node, is_silent(patient), is_over(patient)) == ("second", True, False)
    assert is_over(hasty)
    assert is_over(service("running", node="n3"))
    assert not is_silent(service("running"))


def test_what_never_had_a_node_is_over_once_it_is_stopped() -> None:
    waiting = service("pending", node=None)
    assert (waiting.state, is_over(waiting)) == (State.RUNNING, False)
    stopped = Service(
        "s", moved_nowhere(waiting.spec, waiting.node), 2, waiting.created_at, waiting.tasks, waiting.nodes
    )
    assert is_over(stopped)
    assert read_exit(stopped).kind is ExitKind.ENGINE_FAILED


def test_a_node_that_was_removed_loses_what_was_there() -> None:
    running = service("running")
    stopped = Service("s", moved_nowhere(running.spec, running.node), 2, running.created_at)
    assert read_exit(stopped).kind is ExitKind.LOST
    assert "first" in read_exit(stopped).detail


def test_nodes_have_what_anybody_reserved() -> None:
    def node(number: int, availability: str, state: str = "ready") -> dict[str, Any]:
        size = {"NanoCPUs": 2_000_000_000, "MemoryBytes": 4 << 30}
        return {
            "ID": f"n{number}",
            "Spec": {"Availability": availability},
            "Status": {"State": state},
            "Description": {"Hostname": f"host{number}", "Resources": size},
        }

    taken = {"Resources": {"Reservations": {"NanoCPUs": 500_000_000, "MemoryBytes": 1 << 30}}}
    tasks = [
        {"NodeID": "n1", "Spec": taken, "Status": {"State": "running"}},
        {"NodeID": "n1", "Spec": {}, "Status": {"State": "running"}},
        {"NodeID": "n1", "Spec": taken, "Status": {"State": "complete"}},
    ]
    found = read_nodes([node(2, "drain"), node(1, "active"), node(3, "active", "down")], tasks)
    assert [(each.name, each.state, each.takes_work, each.containers) for each in found] == [
        ("host1", "ready", True, 2),
        ("host2", "drained", False, 0),
        ("host3", "down", False, 0),
    ]
    assert (found[0].reserved_cpus, found[0].reserved_memory_bytes) == (0.5, 1 << 30)
