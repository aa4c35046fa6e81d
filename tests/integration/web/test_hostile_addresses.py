"""Every route of the application with absurd numbers, times and texts in its address, query and form: no 5xx."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from starlette.routing import Route

from app.web.api import OPERATIONS
from app.web.api.operations import PREFIX, Operation
from tests.support.client import Client
from tests.support.clock import START
from tests.support.demo_world import furnish
from tests.support.project import ROOT
from tests.support.seed import PASSWORD, World, world
from tests.support.server_context import ADMIN_TOKEN

HOSTILE = (
    str(2**63),
    "9" * 30,
    "9" * 5000,
    "-1",
    "1e400",
    "NaN",
    "\u0661",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "a\0b",
    "\ud800",
    "[[" * 200,
)
FOR_EVER = ("/live",)  # streams that never end; their topics are texts that are only compared
EXAMPLES = {
    "p": "acme", "project": "acme", "j": "daily-report", "job": "daily-report", "id": "1", "build": "1", "run": "1",
    "forge": "github",
}  # fmt: skip


def found(pattern: str, directory: str, kind: str) -> set[str]:
    """What the sources of the pages name."""
    files = (ROOT / directory).rglob(kind)
    return {name for file in files for name in re.findall(pattern, file.read_text())}


FIELDS = sorted(
    found(r'name="([a-z_.]+)"', "app/web/templates", "*.html")
    | {"env.0.name", "env.0.value", "env.0.scope", "schedule.cron", "instances", "time_limit_seconds"}
)
QUERIES = sorted(found(r'(?:query|number|query_params\.get)\("([a-z_]+)"', "app/web/pages", "*.py"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("hostile")) as each:
        furnish(each, START)
        yield each


@pytest.fixture(scope="module")
def pages(made: World) -> Client:
    client = Client(made.app(), follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    given = {"name": "admin-user", "password": PASSWORD}
    assert client.post("/login", data=given).status_code == 303
    return client


@pytest.fixture(scope="module")
def api(made: World) -> Client:
    return Client(made.app(), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})


def routes() -> list[tuple[str, str]]:
    """Methods and paths of all pages and of what else is no API."""
    from app.web.pages import page_routes

    others = [("POST", "/webhooks/{forge}"), ("POST", "/webhooks/flows/{token}"), ("GET", "/static/{path}")]
    found = [
        (method, route.path)
        for route in page_routes()
        if isinstance(route, Route) and route.path not in FOR_EVER
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]
    return sorted(others + found)


def encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def filled(path: str, value: str | None) -> Iterator[str]:
    """The path with each of its parts hostile in turn; or (None) with examples alone."""
    names = re.findall(r"\{([a-z]+)", path)

    def put(hostile: str | None) -> str:
        filling = {
            name: encoded(value or "") if name == hostile else EXAMPLES.get(name, "1") for name in names
        }
        return re.sub(r"\{([a-z]+)(?::[a-z]+)?\}", lambda match: filling[match[1]], path)

    if value is None:
        yield put(None)
        return
    yield from map(put, names)


def checked(
    client: Client, caplog: pytest.LogCaptureFixture, method: str, address: str, **more: object
) -> None:
    answer = client.request(method, address, **more)  # type: ignore[arg-type]
    assert answer.status_code < 500, (method, address[:300], answer.text[:300])
    wrong = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not wrong, (method, address[:300], wrong)


@pytest.mark.parametrize(("method", "path"), routes(), ids=lambda each: each.replace("/", "|"))
def test_no_address_of_a_page_makes_the_server_fail(
    pages: Client, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    for value in HOSTILE:
        for address in filled(path, value):
            checked(pages, caplog, method, address)
    (address,) = filled(path, None)
    if method != "GET":
        return
    for value in HOSTILE:
        for names in batched(QUERIES, 8):
            query = urlencode(dict.fromkeys(names, value), errors="surrogatepass")
            checked(pages, caplog, "GET", f"{address}?{query}")
        query = urlencode({"attempt": "1", "from": f"{value}:{value}"}, errors="surrogatepass")
        checked(pages, caplog, "GET", f"{address}?{query}", headers={"Last-Event-ID": encoded(value)})


def batched(names: list[str], size: int) -> Iterator[list[str]]:
    for begin in range(0, len(names), size):
        yield names[begin : begin + size]


@pytest.mark.parametrize(
    "path", [path for method, path in routes() if method == "POST"], ids=lambda each: each.replace("/", "|")
)
def test_no_form_makes_the_server_fail(pages: Client, caplog: pytest.LogCaptureFixture, path: str) -> None:
    if path in ("/logout", "/login"):
        pages = Client(pages.app, headers=pages.headers, follow_redirects=False)
    (address,) = filled(path, None)
    for value in HOSTILE[:3] if path == "/login" else HOSTILE:  # each costs a password's hash
        body = urlencode(dict.fromkeys(FIELDS, value), errors="surrogatepass")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        checked(pages, caplog, "POST", address, content=body, headers=headers)


@pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}".replace("/", "|")
)
def test_no_address_of_the_api_makes_the_server_fail(
    api: Client, caplog: pytest.LogCaptureFixture, operation: Operation
) -> None:
    method, path = operation.method, PREFIX + operation.path
    query_of = operation.query.model_fields
    for value in HOSTILE:
        for address in filled(path, value):
            checked(api, caplog, method, address)
        if method != "GET":
            continue
        (address,) = filled(path, None)
        for name, field in query_of.items():
            query = urlencode({field.alias or name: value}, errors="surrogatepass")
            checked(api, caplog, "GET", f"{address}?{query}", headers={"Idempotency-Key": encoded(value)})


RAW = (
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "9" * 30,
    "9" * 5000,
    "-" + "9" * 19,
    "[" * 100_000,
    '{"a":' * 5000,
    "1.5",
)
WITH_BODY = [each for each in OPERATIONS if each.method in ("POST", "PATCH")]


@pytest.mark.parametrize(
    "operation", WITH_BODY, ids=lambda each: f"{each.method} {each.path}".replace("/", "|")
)
def test_no_number_or_depth_in_a_body_makes_the_server_fail(
    api: Client, caplog: pytest.LogCaptureFixture, operation: Operation
) -> None:
    (address,) = filled(PREFIX + operation.path, None)
    names = [field.alias or name for name, field in operation.body.model_fields.items() if name != "root"]
    for value in RAW:
        for name in names or ["retry_limit", "env", "priority", "nodes"]:
            checked(api, caplog, operation.method, address, content=f'{{"{name}": {value}}}')


@pytest.mark.parametrize("host", ["evil.example", "evil.example:99999999", "[", "a b", "", "\u0661"])
@pytest.mark.parametrize(
    "path",
    ["/settings/", "//evil.example/", "/\\evil.example/", "/api/v1/projects/", "/nothing/?q=1", "/nothing"],
)
def test_no_redirect_goes_to_the_host_that_the_request_names(
    pages: Client, caplog: pytest.LogCaptureFixture, host: str, path: str
) -> None:
    answer = pages.get(f"http://testserver{path}", headers={"Host": host.encode()})
    assert answer.status_code in (200, 307, 404)  # a slash at the end makes no other address
    location = answer.headers.get("location", "/nowhere")
    assert re.fullmatch(r"/[^/\\].*", location), location
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_no_cache_keeps_what_the_api_answers(api: Client) -> None:
    for answer in (
        api.get("/api/v1/projects"),
        api.get("/api/v1/openapi.json"),
        api.get("/api/v1/nothing"),
        api.post("/api/v1/tokens", json={"name": "laptop", "role": "viewer"}),
        api.get("/api/v1/builds/1/logs"),
        api.get("/api/v1/projects", headers={"Authorization": ""}),
    ):
        assert answer.headers.get_list("cache-control") == ["no-store"]
    assert api.get("/static/flows.css").headers.get("cache-control") != "no-store"
