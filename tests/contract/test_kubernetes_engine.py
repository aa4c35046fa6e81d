"""What the Kubernetes engine does of its own, on the double of a cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import EngineUnavailable
from app.engines.base import ExitKind, ImageUnavailable, RegistryLogin, StartRefused, StartWaits
from app.engines.fake import Script
from app.engines.kubernetes.starting import Patience
from tests.support.kubernetes_harness import KubernetesHarness, kubernetes_harness, published
from tests.support.registry import PASSWORD, USER, registry
from tests.support.waiting import eventually

FOREVER = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done"
NO_ROOM = "0/1 nodes are available: 1 Insufficient memory."
QUOTA = "exceeded quota: small, requested: cpu=500m, limited: cpu=100m"


@pytest.fixture
def harness(published_image: str) -> Iterator[KubernetesHarness]:
    with kubernetes_harness(published_image) as made:
        yield made


def jobs(harness: KubernetesHarness) -> list[str]:
    return [each["metadata"]["name"] for each in harness.cluster.objects.list("jobs")["items"]]


def test_variables_are_in_a_secret_alone_which_goes_with_its_job(harness: KubernetesHarness) -> None:
    spec = harness.spec("exit 0", Script(), env={"TOKEN": "sesame opens"})
    handle = harness.engine.start(spec, "a", 1)
    assert harness.engine.environment("a", {}) == {"TOKEN": "sesame opens"}
    objects = harness.cluster.objects
    told = json.dumps([objects.list(kind) for kind in ("jobs", "pods", "events")])
    assert "sesame" not in told
    harness.engine.remove(handle)
    assert objects.list("secrets")["items"] == []


def test_what_no_node_can_take_says_so_and_leaves_nothing(harness: KubernetesHarness) -> None:
    harness.cluster.no_room = NO_ROOM
    engine = harness.another(patience=Patience(start=0.5))
    with pytest.raises(StartRefused) as refused:
        engine.start(harness.spec("exit 0", Script()), "a", 1)
    assert str(refused.value) == (
        "The container did not start within 0.5 s. No node can take the container:"
        " 0/1 nodes are available: 1 Insufficient memory."
    )
    assert jobs(harness) == []


def test_what_waits_is_told_of_every_few_seconds_and_given_up_in_the_end(harness: KubernetesHarness) -> None:
    harness.cluster.no_room = NO_ROOM
    engine = harness.another(patience=Patience(start=1.5, call=0.2))
    spec = harness.spec("exit 0", Script())
    told: list[str] = []

    def is_given_up() -> bool:
        try:
            engine.start(spec, "a", 1)
        except StartWaits as waits:
            told.append(str(waits))
            return False
        except StartRefused:
            return True
        return False

    eventually(is_given_up)
    assert set(told) == {"No node can take the container: 0/1 nodes are available: 1 Insufficient memory."}
    assert len(told) > 1


def test_what_a_quota_holds_back_starts_once_there_is_room(harness: KubernetesHarness) -> None:
    harness.cluster.quota = QUOTA
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(harness.engine.start, harness.spec("exit 3", Script()), "a", 1)
        eventually(lambda: ("GET", "/api/v1/namespaces/runs/events") in harness.cluster.requests)
        harness.cluster.make_room()
        assert harness.engine.wait(starting.result(30)).exit_code == 3


def test_what_a_quota_always_holds_back_is_refused_in_its_words(harness: KubernetesHarness) -> None:
    harness.cluster.quota = QUOTA
    engine = harness.another(patience=Patience(start=0.5))
    with pytest.raises(StartRefused, match=f"The cluster makes no pod: {QUOTA}."):
        engine.start(harness.spec("exit 0", Script()), "a", 1)


def test_a_watch_that_is_too_old_begins_anew(harness: KubernetesHarness) -> None:
    handle = harness.engine.start(harness.spec(FOREVER, Script()), "a", 1)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(harness.engine.wait, handle)
        harness.cluster.objects.forget_changes()
        harness.another().stop(handle, 20)
        assert waiting.result(30).exit_code == 7


def test_how_a_stopped_container_ended_outlives_its_pod(harness: KubernetesHarness) -> None:
    handle = harness.engine.start(harness.spec(FOREVER, Script()), "a", 1)
    assert next(harness.engine.logs(handle)).data == b"ready\n"
    harness.engine.stop(handle, 20)
    eventually(lambda: harness.cluster.objects.list("pods")["items"] == [])
    ended = harness.another().wait(handle)
    assert (ended.kind, ended.exit_code) == (ExitKind.EXITED, 7)


def test_errors_of_the_cluster_decide_nothing(harness: KubernetesHarness) -> None:
    spec = harness.spec("exit 3", Script())
    for status in (401, 429, 500, 503):
        harness.cluster.failures = [status] * (4 if status == 429 else 1)
        with pytest.raises(EngineUnavailable):
            harness.engine.start(spec, "a", 1, is_new=True)
        assert jobs(harness) == []
    assert harness.engine.wait(harness.engine.start(spec, "a", 1)).exit_code == 3


def test_a_cluster_that_has_too_much_to_do_is_left_alone_as_long_as_it_says(
    harness: KubernetesHarness,
) -> None:
    engine = harness.another()
    engine.info()
    harness.cluster.failures = [429]
    began = time.monotonic()
    assert engine.info().version
    assert time.monotonic() - began >= 1
    harness.cluster.failures = [429] * 4
    with pytest.raises(EngineUnavailable, match="answered 429"):
        engine.info()


def test_is_known_by_its_namespace_where_that_may_be_asked(harness: KubernetesHarness) -> None:
    assert harness.engine.info().id == harness.another().info().id == harness.cluster.uid
    harness.cluster.denied = {("get", "namespaces")}
    info = harness.another().info()
    assert (bool(info.version), info.id) == (True, "")


def test_an_answer_that_is_lost_is_no_second_start(harness: KubernetesHarness) -> None:
    """The Job is there, and what would have been done next is not."""
    harness.cluster.denied = {("create", "secrets")}
    spec = harness.spec("echo once", Script())
    with pytest.raises(EngineUnavailable, match="look at its Role: secrets is forbidden"):
        harness.engine.start(spec, "a", 1, is_new=True)
    harness.cluster.denied = set()
    handle = harness.another().start(spec, "a", 2, is_new=True)
    assert b"".join(chunk.data for chunk in harness.engine.logs(handle)) == b"once\n"
    assert jobs(harness) == [handle.name]


def test_the_cluster_ends_what_no_server_does(harness: KubernetesHarness) -> None:
    engine = harness.another(patience=Patience(start=2))
    spec = harness.spec(FOREVER, Script(), time_limit_seconds=1, stop_grace_seconds=1)
    ended = engine.wait(engine.start(spec, "a", 1))
    assert ended.kind is ExitKind.ENGINE_FAILED
    assert ended.detail.startswith("The cluster ended the container, as no server of Jobyard had ended it")


def test_says_on_which_node_it_runs(harness: KubernetesHarness) -> None:
    assert harness.engine.start(harness.spec("exit 0", Script()), "a", 1).node == "node-1"


def test_arguments_are_never_taken_for_variables(harness: KubernetesHarness) -> None:
    spec = harness.spec_argv("echo", "$(TOKEN)", "$$", "a b", "ü", env={"TOKEN": "secret"})
    handle = harness.engine.start(spec, "a", 1)
    assert b"".join(chunk.data for chunk in harness.engine.logs(handle)) == "$(TOKEN) $$ a b ü\n".encode()


@pytest.mark.parametrize(
    ("argv", "code"), [(["true"], 0), (["sh", "-c", "exit 3"], 3), (["sleep", "60"], 124)]
)
def test_a_probe_tells_how_its_command_ended(harness: KubernetesHarness, argv: list[str], code: int) -> None:
    handle = harness.engine.start(harness.spec(FOREVER, Script()), "a", 1)
    assert harness.engine.probe(handle, argv, 2) == code


def test_nodes_pull_with_the_log_in_of_the_run(harness: KubernetesHarness, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", with_login=True) as private:
        image = published(private, {"username": USER, "password": PASSWORD})
        spec = replace(harness.spec("exit 3", Script()), image=image)
        with pytest.raises(ImageUnavailable, match="The image can't be pulled"):
            harness.engine.start(spec, "a", 1)
        login = RegistryLogin(USER, PASSWORD)
        handle = harness.engine.start(replace(spec, login=login), "b", 1)
        assert harness.engine.wait(handle).exit_code == 3
        assert harness.engine.resolve(image, login).image == image
        assert harness.engine.image_config(image)["command"]
        with pytest.raises(ImageUnavailable, match="The registry gives no access"):
            harness.another().resolve(image)
    assert PASSWORD not in json.dumps(harness.cluster.objects.list("pods"))


def test_a_registry_that_is_away_decides_nothing(harness: KubernetesHarness) -> None:
    with pytest.raises(EngineUnavailable, match=r"The registry 127\.0\.0\.1:1 can't be reached"):
        harness.engine.resolve("127.0.0.1:1/app:latest")


def test_few_requests_for_each_run(harness: KubernetesHarness) -> None:
    handle = harness.engine.start(harness.spec("echo x", Script()), "a", 1, is_new=True)
    list(harness.engine.logs(handle))
    harness.engine.wait(handle)
    harness.engine.remove(handle)
    assert len(harness.cluster.requests) < 12
