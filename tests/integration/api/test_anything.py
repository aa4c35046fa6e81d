"""Whatever is sent, the answer is never a fault of the server's."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.web.api import OPERATIONS
from app.web.api.operations import Operation
from tests.support.api import Caller
from tests.support.installation import Installation

JOBS = "/projects/acme/jobs"
TAKING_BODIES = [operation for operation in OPERATIONS if operation.method in ("POST", "PATCH")]
NAMES = {
    "p": "acme",
    "j": "report",
    "c": "forge",
    "s": "x",
    "g": "x",
    "t": "ops",
    "a": "shop",
    "ga": "octo",
    "pl": "main",
}
NAMES |= {"f": "release", "node": "ready", "id": "1"}
IDS = [f"{each.method} {each.path}" for each in TAKING_BODIES]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["git", "image", "none", "cron", "busybox", "0 6 * * *", "report", "x" * 200, "\0", "1 \ud800"]
    )
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


NAMES = {
    "p": "acme",
    "j": "report",
    "c": "forge",
    "s": "images",
    "g": "mail",
    "t": "ops",
    "a": "shop",
    "ga": "octo",
    "pl": "main",
    "f": "nightly",
    "node": "1",
    "id": "1",
}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    root: Path = tmp_path_factory.mktemp("anything")
    with Installation.bare(root) as place, Caller(place.web) as made:
        made.made("/projects", {"name": "acme"})
        source = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
        made.made(JOBS, {"name": "report", "source": source, "env": {"A": {"value": "x", "secret": True}}})
        made.made(JOBS, {"name": "once", "source": {"type": "image", "image": "busybox"}})
        made.made("/projects/acme/build-services", {"name": "images", "git": source["git"]})
        told = {"name": "ops", "kind": "email", "address": "ops@example.com", "on": ["failure"]}
        made.made("/projects/acme/notification-targets", told)
        made.made("/projects/acme/secret-groups", {"name": "mail", "env": {"HOST": "mail.example.com"}})
        made.made(f"{JOBS}/report/builds")
        made.made(f"{JOBS}/once/runs")
        made.made(
            "/projects/acme/flows", {"name": "release", "nodes": [{"name": "ready", "type": "approval"}]}
        )
        yield made


def fields(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where values can be put in a body: every field of its example, and those of its model."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            yield (*path, name)
            yield from fields(value, (*path, name))


def bodies(operation: Operation) -> st.SearchStrategy[Any]:
    """The example with one field replaced by anything, or a model's own fields with anything, or just anything."""
    extra: Any = operation.body.model_config.get("json_schema_extra") or {}
    example = (extra.get("examples") or [{}])[0]
    places = [*fields(example), *((name,) for name in operation.body.model_fields if name != "root")]
    objects = st.dictionaries(st.text(max_size=10), anything, max_size=4)
    if not places:
        return objects
    return st.tuples(st.sampled_from(places), anything).map(lambda put: _with(example, *put)) | objects


def _with(example: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(example)
    into = changed
    for name in place[:-1]:
        into = into[name]
    into[place[-1]] = value
    return changed


@pytest.mark.parametrize("operation", TAKING_BODIES, ids=IDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_makes_the_server_fail(caller: Caller, operation: Operation, data: st.DataObject) -> None:
    body = data.draw(bodies(operation))
    path = operation.path.format(**NAMES)
    answer = caller.request(operation.method, path, content=json.dumps(body))
    assert answer.status_code < 500, (body, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200))
def test_no_bytes_make_the_server_fail(caller: Caller, raw: bytes) -> None:
    assert caller.post(JOBS, content=raw).status_code in (400, 422)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/runs/{}", "/builds/{}", "/deliveries/{}", "/projects/{}", f"{JOBS}/{{}}"]),
    name=st.text(min_size=1, max_size=30).filter(lambda text: text not in (".", "..")),
)
def test_no_name_makes_the_server_fail(caller: Caller, path: str, name: str) -> None:
    encoded = quote(name.encode("utf-8", "surrogatepass"), safe="")
    assert caller.get(path.format(encoded)).status_code in (200, 404)
