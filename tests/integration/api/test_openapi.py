"""The description of the API against the API itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.domain.runs import Outcome
from app.web.api import OPERATIONS, api_routes
from app.web.api.openapi import describe
from app.web.api.operations import PREFIX, Operation
from app.web.reading import read_value
from app.web.schemas.base import Empty
from tests.support.api import Caller, attempt_ends, build_succeeds
from tests.support.github import PEM

DOCUMENT = describe(OPERATIONS)
JOBS = "/projects/{p}/jobs"
PUBLIC = {
    "/projects": {"get", "post"},
    "/projects/{p}": {"get", "patch", "delete"},
    "/projects/{p}/credentials": {"get", "post"},
    "/projects/{p}/credentials/{c}": {"get", "patch", "delete"},
    JOBS: {"get", "post"},
    f"{JOBS}/{{j}}": {"get", "patch", "delete"},
    f"{JOBS}/{{j}}/builds": {"get", "post"},
    f"{JOBS}/{{j}}/runs": {"get", "post"},
    f"{JOBS}/{{j}}/pause": {"post"},
    f"{JOBS}/{{j}}/resume": {"post"},
    f"{JOBS}/{{j}}/why": {"get"},
    "/builds/{id}": {"get"},
    "/builds/{id}/cancel": {"post"},
    "/builds/{id}/logs": {"get"},
    "/builds/{id}/logs/search": {"get"},
    "/runs/{id}": {"get"},
    "/runs/{id}/cancel": {"post"},
    "/runs/{id}/logs": {"get"},
    "/runs/{id}/logs/search": {"get"},
    "/runs/{id}/attempts": {"get"},
    "/runs/{id}/rerun": {"post"},
    "/projects/{p}/apps": {"get", "post"},
    "/projects/{p}/apps/{a}": {"get", "patch", "delete"},
    "/projects/{p}/apps/{a}/deployments": {"get", "post"},
    "/projects/{p}/apps/{a}/release-hold": {"post"},
    "/deployments/{id}": {"get"},
    "/deployments/{id}/cancel": {"post"},
    "/deployments/{id}/rollback": {"post"},
    "/projects/{p}/pipelines": {"get", "post"},
    "/projects/{p}/pipelines/{pl}": {"get", "patch", "delete"},
    "/projects/{p}/pipelines/{pl}/promotions": {"get", "post"},
    "/projects/{p}/flows": {"get", "post"},
    "/projects/{p}/flows/{f}": {"get", "patch", "delete"},
    "/projects/{p}/flows/{f}/runs": {"get", "post"},
    "/deliveries": {"get"},
    "/deliveries/{id}": {"get"},
    "/deliveries/{id}/replay": {"post"},
    "/deliveries/{id}/approve": {"post"},
    "/decisions": {"get"},
    "/tokens": {"get", "post"},
}


def errors_of(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value; the document's own schemas are there for references."""
    validator = Draft202012Validator({"components": DOCUMENT["components"], **schema})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def answer_schema(path: str, method: str, status: int) -> dict[str, Any]:
    described = DOCUMENT["paths"][PREFIX + path][method]["responses"][str(status)]
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    schema: dict[str, Any] = next(iter(described["content"].values()))["schema"]
    return schema


def test_every_route_is_described_and_nothing_else() -> None:
    routes = {
        (route.path, method.lower())
        for route in api_routes()
        for method in (route.methods or ())
        if method != "HEAD" and not route.path.endswith("/openapi.json")
    }
    described = {(path, method) for path, entry in DOCUMENT["paths"].items() for method in entry}
    assert routes == described


def test_the_public_paths_are_there() -> None:
    for path, methods in PUBLIC.items():
        assert methods <= set(DOCUMENT["paths"][PREFIX + path]), path


def test_the_description_is_whole() -> None:
    Draft202012Validator.check_schema({"$defs": DOCUMENT["components"]["schemas"]})
    text = str(DOCUMENT)
    for ref in re.findall(r"#/components/[\w./-]+", text):
        found: Any = DOCUMENT
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
    ids = [entry["operationId"] for path in DOCUMENT["paths"].values() for entry in path.values()]
    assert len(ids) == len(set(ids))
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["security"] == [{"token": []}]


def test_every_error_is_a_problem() -> None:
    for entry in (each for path in DOCUMENT["paths"].values() for each in path.values()):
        if entry["tags"] == ["badges"]:
            continue  # images, for anybody
        for status in (401, 403, 404, 422):
            assert entry["responses"][str(status)] == {"$ref": f"#/components/responses/{status}"}
    for response in DOCUMENT["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


WITH_BODY = [operation for operation in OPERATIONS if operation.body is not Empty]


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: f"{each.method} {each.path}")
def test_each_example_is_valid(admin: Caller, operation: Operation) -> None:
    schema = DOCUMENT["components"]["schemas"][operation.body.__name__]
    assert schema["examples"]
    for example in schema["examples"]:
        read_value(operation.body, example, admin.context)
        assert errors_of({"$ref": f"#/components/schemas/{operation.body.__name__}"}, example) == []


def test_answers_are_as_described(admin: Caller) -> None:
    source = {
        "type": "git",
        "git": {"url": "https://github.com/acme/report", "webhook_secret": "the secret of the hook"},
    }
    env = {"A": "b", "T": {"value": "x", "secret": True, "scope": "build"}}
    cron = {"kind": "cron", "schedule": {"cron": "@daily"}}
    admin.made(
        "/projects/acme/credentials", {"name": "forge", "kind": "git", "host": "github.com", "secret": "x"}
    )
    admin.made("/projects/acme/build-services", {"name": "images", "git": source["git"]})
    told = {"name": "ops", "kind": "email", "address": "ops@example.com", "on": ["failure"]}
    admin.made("/projects/acme/notification-targets", told)
    admin.made("/projects/acme/notification-targets/ops/test")
    admin.made("/projects/acme/secret-groups", {"name": "mail", "env": env})
    admin.made("/projects/acme/jobs", {"name": "report", "source": source, "env": env, **cron})
    admin.made("/projects/acme/jobs/report/builds")
    build_succeeds(admin.context)
    admin.made("/projects/acme/jobs/report/runs", {"command": "x"})
    attempt_ends(admin.context, Outcome(None, 0))
    admin.made("/tokens", {"name": "ci"})
    admin.made("/projects/acme/apps", {"name": "shop", "jobs": ["report"]})
    admin.made("/projects/acme/apps/shop/deployments")
    admin.made("/projects/acme/github-apps", {"name": "octo", "app_id": 4711, "private_key": PEM})
    stages = [{"name": "one", "components": ["shop"]}]
    admin.made("/projects/acme/pipelines", {"name": "main", "stages": stages})
    admin.made("/projects/acme/flows", {"name": "release", "nodes": [{"name": "ready", "type": "approval"}]})
    admin.made("/projects/acme/flows/release/runs")
    names = {
        "p": "acme",
        "j": "report",
        "c": "forge",
        "s": "images",
        "g": "mail",
        "t": "ops",
        "a": "shop",
        "ga": "octo",
        "pl": "main",
        "f": "release",
        "id": "1",
    }
    for operation in OPERATIONS:
        if operation.method != "GET" or "application/json" not in operation.media_types:
            continue
        answer = admin.get(operation.path.format(**names))
        schema = answer_schema(operation.path, "get", answer.status_code)
        assert errors_of(schema, answer.json()) == [], operation.path
    dry_run = admin.post("/projects/acme/jobs/report/runs?dry_run=1", json={})
    assert errors_of({"$ref": "#/components/schemas/DryRunAnswer"}, dry_run.json()) == []
    refused = admin.post("/projects", json={})
    assert errors_of(answer_schema("/projects", "post", 422), refused.json()) == []


def test_the_description_is_served_to_anybody(admin: Caller) -> None:
    answer = Caller(admin.context, None).get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["info"]["title"] == "Jobyard"
