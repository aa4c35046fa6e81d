"""Release flows by the API and by their own webhook addresses; the flow worker, stepped by the test, moves them on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from app.domain.flow_nodes import MessageNode, RunNode
from app.domain.runs import Outcome
from app.store import flows
from app.web.app import create_app
from app.web.server_context import ServerContext
from app.workers.flows import FlowWorker
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.client import Client
from tests.support.sealed import unsealed

FLOWS = "/projects/acme/flows"
JOBS = "/projects/acme/jobs"
GIT = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
SHA = "a" * 40
APPROVAL = {"name": "ask", "type": "approval"}
MESSAGE = {"name": "tell", "type": "message", "message": "Released."}
BUILD = {"name": "make", "type": "build", "job": "report"}
RUN = {"name": "try", "type": "run", "job": "report"}
PROMOTE = {"name": "up", "type": "promote", "pipeline": "main", "from": "report"}


@pytest.fixture
def acme(admin: Caller) -> Caller:
    """A job that is built, its peer in the next stage, a job that isn't built, and an app."""
    admin.made(JOBS, {"name": "report", "source": GIT})
    admin.made(JOBS, {"name": "live", "source": {"type": "none"}})
    admin.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox"}})
    admin.made(JOBS, {"name": "smoke", "source": GIT, "deploy_trigger": "post-deploy"})
    admin.made("/projects/acme/apps", {"name": "shop", "jobs": ["smoke"]})
    stages = [{"name": "staging", "components": ["report"]}, {"name": "production", "components": ["live"]}]
    admin.made("/projects/acme/pipelines", {"name": "main", "stages": stages})
    return admin


@pytest.fixture
def public(acme: Caller) -> Iterator[Client]:
    """The whole application, for callers without any token."""
    with Client(create_app(acme.context, nullcontext)) as client:
        yield client


def make(caller: Caller, *nodes: dict[str, Any], **fields: Any) -> Any:
    return caller.made(FLOWS, {"name": "release", "nodes": list(nodes), **fields})


def conduct(context: ServerContext) -> None:
    flow_worker = FlowWorker(context.db, context.clock, context.names, context.vault)
    while flow_worker.step():
        pass


def refused(caller: Caller, *nodes: Any, **fields: Any) -> dict[str, str]:
    """The fields that are wrong, and what is said about them."""
    answer = caller.post(FLOWS, json={"name": "release", "nodes": list(nodes), **fields})
    assert answer.status_code == 422, answer.text
    return {each["field"]: each["message"] for each in answer.json()["errors"]}


def test_a_flow_is_made_shown_changed_and_deleted(acme: Caller) -> None:
    made = make(acme, BUILD, {"parallel": [RUN, {**RUN, "name": "again", "wait": False}]}, PROMOTE, APPROVAL)
    assert made == acme.got(f"{FLOWS}/release") == acme.got(FLOWS)["items"][0]
    assert made["nodes"][0] == BUILD
    assert made["nodes"][2] == PROMOTE
    assert (made["concurrency"], made["on_push"], made["has_webhook"]) == ("queue", None, False)
    assert acme.post(FLOWS, json={"name": "release", "nodes": [APPROVAL]}).status_code == 409
    changed = acme.patch(f"{FLOWS}/release", json={"concurrency": "forbid", "on_push": "report"}).json()
    assert (changed["concurrency"], changed["on_push"]) == ("forbid", "report")
    assert changed["nodes"] == made["nodes"]
    assert acme.patch(f"{FLOWS}/release", json={"on_push": None}).json()["on_push"] is None
    assert acme.patch(f"{FLOWS}/release", json={"name": "other"}).status_code == 422
    assert acme.patch(f"{FLOWS}/release", json={"warnings": []}).status_code == 422
    assert acme.delete(f"{FLOWS}/release").status_code == 422
    assert acme.delete(f"{FLOWS}/release?confirm=release").status_code == 204
    assert acme.get(f"{FLOWS}/release").status_code == 404


def test_a_flow_from_its_start_to_its_end(acme: Caller) -> None:
    make(acme, BUILD, RUN, APPROVAL, {"name": "tell", "type": "message", "message": "Released."})
    started = acme.post(f"{FLOWS}/release/runs", json={"sha": SHA}, headers={"Idempotency-Key": "one"})
    again = acme.post(f"{FLOWS}/release/runs", json={"sha": SHA}, headers={"Idempotency-Key": "one"})
    assert (started.status_code, started.json()) == (202, again.json())
    assert started.json()["trigger"] == {"type": "api", "by": "admin token", "sha": SHA, "build": None}
    conduct(acme.context)
    build_succeeds(acme.context)
    conduct(acme.context)
    attempt_ends(acme.context, Outcome(None, 0))
    conduct(acme.context)
    run = acme.got("/flows/runs/1")
    assert [node["status"] for node in run["nodes"]] == ["succeeded", "succeeded", "running", "waiting"]
    assert (run["nodes"][0]["build"], run["nodes"][1]["run"]) == (1, 1)
    assert acme.post("/flows/runs/1/nodes/tell/approve").status_code == 409
    assert acme.post("/flows/runs/1/nodes/other/approve").status_code == 404
    approved = acme.made("/flows/runs/1/nodes/ask/approve")
    assert approved["nodes"][2]["log"][-1] == "2026-01-31T12:00:00Z Approved by admin token."
    assert acme.post("/flows/runs/1/nodes/ask/decline").status_code == 409
    conduct(acme.context)
    assert acme.got(f"{FLOWS}/release/runs")["items"][0]["status"] == "succeeded"
    assert acme.post("/flows/runs/1/cancel").status_code == 409


def test_cancel_and_decline(acme: Caller) -> None:
    make(acme, APPROVAL, concurrency="allow")
    for _ in range(2):
        acme.made(f"{FLOWS}/release/runs")
    conduct(acme.context)
    assert acme.post("/flows/runs/1/cancel").status_code == 202
    acme.made("/flows/runs/2/nodes/ask/decline")
    conduct(acme.context)
    assert [acme.got(f"/flows/runs/{id_}")["status"] for id_ in (1, 2)] == ["cancelled", "failed"]


def test_a_flow_is_not_deleted_while_it_runs(acme: Caller) -> None:
    make(acme, APPROVAL)
    acme.made(f"{FLOWS}/release/runs")
    assert acme.delete(f"{FLOWS}/release?confirm=release").status_code == 409


def test_runs_keep_the_nodes_they_began_with(acme: Caller) -> None:
    make(acme, APPROVAL)
    acme.made(f"{FLOWS}/release/runs")
    assert acme.patch(f"{FLOWS}/release", json={"nodes": [RUN]}).status_code == 200
    assert [node["name"] for node in acme.got("/flows/runs/1")["nodes"]] == ["ask"]


# what is refused


@pytest.mark.parametrize(
    ("node", "field", "message"),
    [
        ({"name": "a"}, "type", "is missing: it is one of build, promote, deploy, run, approval, message."),
        (
            {"name": "a", "type": "sleep"},
            "type",
            "must be 'build', 'promote', 'deploy', 'run', 'approval' or 'message', not 'sleep'.",
        ),
        ({"type": "approval"}, "name", "is missing."),
        ({"name": "a", "type": "build"}, "job", "is missing: a node of type build needs it."),
        ({"name": "a", "type": "message"}, "message", "is missing: a node of type message needs it."),
        ({**APPROVAL, "job": "report"}, "job", "is not for a node of type approval: leave it out."),
        ({**APPROVAL, "retries": 1}, "retries", "is not for a node of type approval: leave it out."),
        ({**RUN, "retries": 11}, "retries", "must be at most 10, not 11."),
        ({**RUN, "wait": "no"}, "wait", "must be true or false, not 'no'."),
        ({**RUN, "job": "nothing"}, "job", "must name a job of project acme, not 'nothing'."),
        (
            {**BUILD, "job": "once"},
            "job",
            "must name a job that is built from a repository, which once is not.",
        ),
        (
            {**BUILD, "sha": "main"},
            "sha",
            "must be a whole commit id, 40 hexadecimal digits in lower case, not 'main'.",
        ),
        ({"name": "a", "type": "deploy"}, "job", "is missing: give a job or an app, and not both."),
        (
            {"name": "a", "type": "deploy", "app": "nothing"},
            "app",
            "must name an app of project acme, not 'nothing'.",
        ),
        (
            {"name": "a", "type": "deploy", "app": "shop", "build": 1},
            "build",
            "is not for an app: leave it out, or name a job.",
        ),
        (
            {"name": "a", "type": "deploy", "job": "report", "build": 7},
            "build",
            "must be one made for job report, which build 7 is not.",
        ),
        ({**PROMOTE, "pipeline": "side"}, "pipeline", "must name a pipeline of project acme, not 'side'."),
        ({**PROMOTE, "from": "once"}, "from", "can't be so: once is no component of pipeline main."),
        (
            {**PROMOTE, "from": "live"},
            "to_stage",
            "can't be so: production is the last stage of pipeline main.",
        ),
        (
            {**PROMOTE, "to": "live", "to_stage": "production"},
            "to_stage",
            "can't be set together with to: give one of them.",
        ),
        (
            {**MESSAGE, "retries": 1},
            "retries",
            "is only for a message that goes to a url: leave it out, or give one.",
        ),
        (
            {**MESSAGE, "url": "***"},
            "url",
            "is only how an address is shown, and the node has none: give it.",
        ),
        (
            {**RUN, "overrides": {"command": "x", "process": "web"}},
            "overrides.process",
            "can't be set together with command: give one of them.",
        ),
        (
            {**RUN, "overrides": {"shell": True}},
            "overrides.command",
            "is missing: shell wraps a command or a process, not what the image runs; or leave shell out.",
        ),
        (
            {**RUN, "overrides": {"env": {"A": {"secret": True}}}},
            "overrides.env.A.value",
            "is missing: give the variable's text.",
        ),
    ],
)
def test_what_a_node_may_not_be(acme: Caller, node: dict[str, Any], field: str, message: str) -> None:
    assert refused(acme, node) == {f"nodes.0.{field}": f"nodes.0.{field} {message}"}


def test_what_a_flow_may_not_be(acme: Caller) -> None:
    assert list(refused(acme)) == ["nodes"]
    assert list(refused(acme, {"parallel": []})) == ["nodes.0.parallel"]
    twins = refused(acme, APPROVAL, {"parallel": [RUN, APPROVAL]})
    assert twins == {
        "nodes.1.parallel.1.name": "nodes.1.parallel.1.name must be another than that of nodes.0, not 'ask' as well."
    }
    beside = refused(acme, {"parallel": [APPROVAL], "job": "report"})
    assert beside == {"nodes.0.job": "nodes.0.job can't be set beside parallel: put it into a node of it."}
    assert refused(acme, {**APPROVAL, "sleep": 1}) == {"nodes.0.sleep": "There is no field nodes.0.sleep."}
    assert list(refused(acme, APPROVAL, on_push="nothing")) == ["on_push"]
    assert list(refused(acme, APPROVAL, on_push="once")) == ["on_push"]
    assert list(refused(acme, APPROVAL, concurrency="replace")) == ["concurrency"]


def test_every_wrong_field_of_every_node_is_named_at_once(acme: Caller) -> None:
    wrong = refused(
        acme, {**BUILD, "sha": "main", "app": "shop"}, {"parallel": [{"name": "a", "type": "promote"}]}, "ask"
    )
    assert wrong == {
        "nodes.0.sha": "nodes.0.sha must be a whole commit id, 40 hexadecimal digits in lower case, not 'main'.",
        "nodes.0.app": "nodes.0.app is not for a node of type build: leave it out.",
        "nodes.1.parallel.0.pipeline": "nodes.1.parallel.0.pipeline is missing: a node of type promote needs it.",
        "nodes.1.parallel.0.from": "nodes.1.parallel.0.from is missing: a node of type promote needs it.",
        "nodes.2": "nodes.2 must be an object, not 'ask'.",
    }
    together = refused(acme, {"name": "a", "type": "deploy"}, {**MESSAGE, "name": "a", "retries": 1})
    assert list(together) == ["nodes.0.job", "nodes.1.name", "nodes.1.retries"]


def test_null_is_as_good_as_left_out(acme: Caller) -> None:
    nothing = {"job": None, "retries": None, "parallel": None, "url": None}
    made = make(acme, {**APPROVAL, **nothing}, {"parallel": [RUN], "name": None, "type": None})
    assert made["nodes"] == [APPROVAL, {"parallel": [RUN]}]


def test_the_description_says_which_fields_each_type_of_node_takes(acme: Caller) -> None:
    schemas = acme.got("/openapi.json")["components"]["schemas"]
    one, side_by_side = schemas["FlowForm"]["properties"]["nodes"]["items"]["oneOf"]
    assert side_by_side == {"$ref": "#/components/schemas/ParallelForm"}
    assert one["discriminator"]["mapping"]["promote"] == "#/components/schemas/PromoteNodeForm"
    assert len(one["oneOf"]) == len(one["discriminator"]["mapping"]) == 6
    assert schemas["PromoteNodeForm"]["required"] == ["name", "type", "pipeline", "from"]


# secrets, warnings


def test_secrets_of_overrides_are_kept_and_never_shown(acme: Caller) -> None:
    secret = {"env": {"TOKEN": {"value": "quite secret", "secret": True}, "MODE": "fast", "OLD": None}}
    made = make(acme, {**RUN, "job": "once", "overrides": secret})
    shown = made["nodes"][0]["overrides"]["env"]
    assert shown == {"TOKEN": {"value": None, "secret": True, "scope": "run"}, "MODE": "fast", "OLD": None}
    changed = acme.patch(f"{FLOWS}/release", json={"nodes": made["nodes"], "concurrency": "allow"})
    assert changed.status_code == 200, changed.text
    assert "quite secret" not in changed.text
    acme.made(f"{FLOWS}/release/runs")
    conduct(acme.context)
    with acme.context.db.read() as tx:
        node = flows.run_with_id(tx, 1).nodes[0].spec
    assert isinstance(node, RunNode)
    assert node.overrides is not None
    token = node.overrides.env["TOKEN"]
    assert token is not None
    sealed = token.value
    assert "quite secret" not in sealed
    assert unsealed(acme.context.vault, sealed) == "quite secret"
    assert acme.got("/runs/1")["effective"]["env"]["MODE"] == "fast"


def test_the_address_of_a_message_is_kept_and_never_shown(acme: Caller) -> None:
    secret = "https://chat.example.com/hooks/T0-secret"
    tell = {"name": "tell", "type": "message", "message": "Released.", "url": secret}
    made = acme.made(FLOWS, {"name": "release", "nodes": [tell]})
    assert made["nodes"] == [{**tell, "url": "***"}]

    def stored() -> str:
        with acme.context.db.read() as tx:
            (node,) = flows.named(tx, "acme", "release").steps
        assert isinstance(node, MessageNode)
        sealed = node.url
        assert sealed is not None
        assert "T0-secret" not in sealed
        return unsealed(acme.context.vault, sealed)

    assert stored() == secret
    answer = acme.patch(f"{FLOWS}/release", json={"nodes": [{**tell, "url": "***", "message": "Live."}]})
    assert answer.status_code == 200, answer.text
    assert stored() == secret
    assert "T0-secret" not in acme.get(f"{FLOWS}/release").text
    assert "T0-secret" not in json.dumps(acme.made(f"{FLOWS}/release/runs"))
    wrong = acme.post(FLOWS, json={"name": "other", "nodes": [{**tell, "url": "ftp://T0-secret"}]})
    assert wrong.status_code == 422
    assert "T0-secret" not in wrong.text
    assert "https://" in wrong.json()["detail"]


def test_a_flow_that_would_run_a_job_twice_is_warned_about(acme: Caller) -> None:
    run_live = {**RUN, "job": "live"}
    assert make(acme, PROMOTE, run_live)["warnings"] == []
    acme.patch(f"{JOBS}/live", json={"run_on_image_change": "cd-promote"})
    why = "because its run_on_image_change is cd-promote"
    assert acme.got(f"{FLOWS}/release")["warnings"] == [
        f"Job live would run twice: node try runs it, and so does node up, {why}."
    ]
    acme.patch(f"{JOBS}/report", json={"run_on_image_change": "always"})
    deploy = {"name": "put", "type": "deploy", "job": "report"}
    other = acme.patch(f"{FLOWS}/release", json={"nodes": [BUILD, deploy, RUN]}).json()["warnings"]
    assert [each.split("so does ")[1] for each in other] == [
        "node make, because its run_on_image_change is always.",
        "node put, because its run_on_image_change is always.",
    ]
    hook = {"name": "put", "type": "deploy", "app": "shop"}
    smoke = acme.patch(f"{FLOWS}/release", json={"nodes": [hook, {**RUN, "job": "smoke"}]}).json()["warnings"]
    assert [each.split("because ")[1] for each in smoke] == ["it is a post-deploy job of app shop."]


# webhook addresses


def address(caller: Caller) -> str:
    url: str = caller.made(f"{FLOWS}/release/webhook")["url"]
    assert url.startswith("https://jobyard.example.com/webhooks/flows/")
    return url.removeprefix("https://jobyard.example.com")


def test_a_webhook_address_starts_the_flow(acme: Caller, public: Client) -> None:
    make(acme, APPROVAL)
    path = address(acme)
    assert acme.got(f"{FLOWS}/release")["has_webhook"]
    started = public.post(path, content=b"whatever: {")
    assert started.status_code == 202
    assert started.json() == acme.got("/flows/runs/1")
    assert started.json()["trigger"]["type"] == "webhook"


def test_a_webhook_address_is_one_at_a_time(acme: Caller, public: Client) -> None:
    make(acme, APPROVAL)
    first, second = address(acme), address(acme)
    assert public.post(first).status_code == 404
    assert public.post(second).status_code == 202
    assert acme.delete(f"{FLOWS}/release/webhook?confirm=release").status_code == 204
    gone = public.post(second)
    assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
    assert not acme.got(f"{FLOWS}/release")["has_webhook"]


def test_what_a_webhook_address_refuses(acme: Caller, public: Client) -> None:
    make(acme, APPROVAL, concurrency="forbid")
    path = address(acme)
    assert public.post(path, content=b"x" * 65536).status_code == 202
    busy = public.post(path)
    assert (busy.status_code, "is not over" in busy.json()["detail"]) == (409, True)
    big = public.post(path, content=b"x" * 65537)
    assert (big.status_code, "64 KiB" in big.json()["detail"]) == (413, True)
    assert public.post("/webhooks/flows/guess").status_code == 404
    assert public.get(path).status_code == 405
    assert public.post(path, headers={"Authorization": "Bearer wrong"}).status_code == 409
