"""The pages of release flows: what they say, and that their buttons do what they said."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.flow_codec import steps_from_json
from app.domain.flows import FlowConcurrency, FlowRun
from app.domain.job.variables import EnvValue
from app.domain.principals import Role
from app.store import flows, runs
from app.workers.flows import FlowWorker
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.seed import PASSWORD, SUCCEEDED, World, world

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SHA = "a8810fe" + "0" * 33
PATH = "/projects/acme/flows/release"
RUN = {"name": "try", "type": "run", "job": "report", "overrides": {"env": {"DRY_RUN": "yes"}}}
ASK = {"name": "ask", "type": "approval", "message": "Does it look right?"}
TELL = {"name": "tell", "type": "message", "message": "Released."}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(NOW)) as each:
        job = each.job("report")
        each.build(job, NOW, sha=SHA)
        yield each


def visitor(made: World, role: Role = Role.OPERATOR) -> Client:
    client = Client(made.app(), follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def read(client: Client, path: str) -> str:
    """The page's text, its tags left out."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", answer.text)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", answer.text)))


def flow(
    made: World,
    *nodes: Mapping[str, Any],
    concurrency: FlowConcurrency = FlowConcurrency.QUEUE,
    push: bool = False,
) -> None:
    with made.db.write() as tx:
        flows.save(
            tx, 1, "release", steps_from_json(nodes), concurrency=concurrency,
            push_job_id=1 if push else None, now=NOW,
        )  # fmt: skip


def work(made: World) -> None:
    flow_worker = FlowWorker(made.db, made.clock, made.names, made.box)
    while flow_worker.step():
        pass


def run_now(made: World, run_id: int = 1) -> FlowRun:
    with made.db.read() as tx:
        return flows.run_with_id(tx, run_id)


def started(made: World, client: Client, **form: str) -> str:
    answer = client.post(f"{PATH}/start", data=form)
    assert answer.status_code == 303, answer.text
    work(made)
    return str(answer.headers["location"])


def test_without_flows_the_page_shows_how_to_make_one(made: World) -> None:
    page = read(visitor(made, Role.ADMIN), "/flows")
    assert "There is no release flow yet" in page
    assert "New flow" in page


def test_the_list_says_what_each_flow_does_and_how_it_went(made: World) -> None:
    flow(made, {"parallel": [RUN, {**RUN, "name": "twin"}]}, TELL, push=True)
    client = visitor(made)
    for path in ("/flows", "/projects/acme/flows"):
        page = read(client, path)
        assert "try + twin" in page
        assert "started by each push that is built for report" in page
        assert "has not run yet" in page
    started(made, client)
    assert "Running" in read(client, "/flows")
    assert client.get("/projects/nothing/flows").status_code == 404
    assert client.get("/projects/acme/flows/nothing").status_code == 404
    assert client.get("/flows/runs/9").status_code == 404


def test_a_flow_shows_its_nodes_its_runs_and_what_is_probably_not_meant(made: World) -> None:
    promote = {"name": "up", "type": "promote", "pipeline": "main", "from": "report", "to": "live"}
    build = {"name": "make", "type": "build", "job": "report", "ref": "next"}
    deploy = {"name": "put", "type": "deploy", "job": "report", "build": 7}
    whole = {"name": "all", "type": "deploy", "app": "shop"}
    later = {**RUN, "wait": False}
    post = {**TELL, "url": "sealed-address"}
    flow(made, build, promote, deploy, whole, later, ASK, post)
    client = visitor(made)
    page = read(client, PATH)
    for said in (
        "Builds report from next",
        "Promotes report in main to live",
        "Deploys build 7 to report",
        "Deploys the latest builds to app shop",
        "Runs report with its own DRY_RUN, and does not wait for it",
        "Does it look right?",
        "“Released.” to its address",
        "Job report would run twice",
        "While a run is going, another run waits for its end.",
        "It has not run yet.",
    ):
        assert said in page, said
    assert "sealed-address" not in page


def test_started_answered_and_over(made: World) -> None:
    flow(made, RUN, ASK, TELL)
    client = visitor(made)
    where = started(made, client, sha=SHA)
    page = read(client, where)
    assert "Started manually by operator-user, of a8810fe" in page
    assert "0 of 3 nodes" in page
    (node, *_) = run_now(made).nodes
    assert f"Run {node.run_id}" in page
    with made.db.read() as tx:
        assert runs.with_id(tx, node.run_id or 0).spec.env == {"DRY_RUN": EnvValue("yes")}
    made.attempt(node.run_id or 0, NOW)
    made.end_attempt(node.run_id or 0, SUCCEEDED, NOW)
    work(made)
    assert "ask waits for somebody" in read(client, where)
    assert client.post(f"{where}/nodes/try/approve").status_code == 409
    answer = client.post(f"{where}/nodes/ask/approve")
    assert (answer.status_code, answer.headers["location"]) == (303, where)
    work(made)
    page = read(client, where)
    assert "Approved by operator-user." in page
    assert "3 of 3 nodes" in page
    assert "Succeeded" in page
    assert client.post(f"{where}/nodes/ask/approve").status_code == 409


def test_declined(made: World) -> None:
    flow(made, ASK, TELL)
    client = visitor(made)
    where = started(made, client)
    assert client.post(f"{where}/nodes/ask/decline").status_code == 303
    work(made)
    page = read(client, where)
    assert "ask failed, so what comes after was not reached." in page
    assert "Declined by operator-user." in page


def test_another_run_waits_and_a_cancelled_one_makes_way(made: World) -> None:
    flow(made, ASK)
    client = visitor(made)
    first, second = started(made, client), started(made, client)
    assert "For run 1 of this flow to end." in read(client, second)
    assert client.post(f"{first}/cancel").status_code == 303
    work(made)
    assert "Cancelled" in read(client, first)
    assert client.post(f"{first}/cancel").status_code == 409
    assert "Asks" in read(client, second)


def test_what_can_not_start_says_why(made: World) -> None:
    flow(made, ASK, concurrency=FlowConcurrency.FORBID)
    client = visitor(made)
    assert "another run is refused" in read(client, PATH)
    wrong = client.post(f"{PATH}/start", data={"sha": "main"})
    assert wrong.status_code == 422
    assert "a whole commit id" in wrong.text
    started(made, client)
    assert client.post(f"{PATH}/start").status_code == 409


def test_a_failed_node_says_when_it_is_tried_again(made: World) -> None:
    flow(made, {"name": "put", "type": "deploy", "job": "nothing", "retries": 2})
    client = visitor(made)
    page = read(client, started(made, client))
    assert "There is no job named nothing in project acme. Trying again in 10 s (1 of 2)." in page
    assert "try 1 of 3" in page
    assert "next 2026-03-28 12:00:10 UTC" in page


def test_the_webhook_address_is_shown_once(made: World) -> None:
    flow(made, ASK)
    assert visitor(made).post(f"{PATH}/webhook").status_code == 403
    client = visitor(made, Role.ADMIN)
    page = client.post(f"{PATH}/webhook").text
    (address,) = re.findall(r"/webhooks/flows/[\w-]{40,}", page)
    assert address not in client.get(PATH).text
    assert "its webhook address" in read(client, "/flows")
    assert client.post(address).status_code == 202
    assert "Started through its webhook address" in read(client, "/flows/runs/1")
    assert client.post(f"{PATH}/webhook/void").status_code == 303
    assert client.post(address).status_code == 404


def test_a_viewer_looks_and_does_nothing(made: World) -> None:
    flow(made, ASK)
    where = started(made, visitor(made))
    client = visitor(made, Role.VIEWER)
    for path in (PATH, where):
        assert '<form method="post"' not in client.get(path).text.replace(
            '<form method="post" action="/logout">', ""
        )
    for path in (f"{PATH}/start", f"{PATH}/webhook", f"{where}/cancel", f"{where}/nodes/ask/approve"):
        assert client.post(path).status_code == 403
    assert client.post(f"{PATH}/start", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert str(run_now(made).nodes[0].status) == "running"
