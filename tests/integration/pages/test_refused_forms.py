"""Forms that were refused: fields are called as on the page, texts are kept, the first wrong one is focused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.seed import World, world
from tests.support.visiting import read, visitor


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        each.job("report")
        yield each


@pytest.fixture
def page(made: World) -> Client:
    return visitor(made)


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


def test_wrong_fields_are_called_by_their_labels_and_the_first_is_focused(page: Client) -> None:
    path = "/projects/acme/jobs/report/settings"
    fields = form_fields(read(page, path), path)
    wrong = {"kind": "cron", "schedule.cron": "never", "schedule.time_zone": "Mars/Base", "retry_limit": "-1"}
    answer = page.post(path, data=fields | wrong)
    assert answer.status_code == 422
    said = answer.text.split('role="alert"')[1].split("</div>")[0]
    assert text_of(said).endswith("3 fields need attention: Cron, Time zone, Retries.")
    assert re.findall(r'href="#f-([^"]+)"', said) == ["schedule.cron", "schedule.time_zone", "retry_limit"]
    focused = re.findall(r"<(?:input|select|textarea)[^>]* autofocus[^>]*>", answer.text)
    assert len(focused) == 1
    first = re.search(r'<[^>]*aria-invalid="true"[^>]*>', answer.text)
    assert first is not None
    assert focused == [first[0]]
    assert form_fields(answer.text, path)["schedule.time_zone"] == "Mars/Base"


def test_a_single_wrong_field(page: Client) -> None:
    answer = page.post("/users", data={"name": "ada", "email": "nobody", "role": "viewer"})
    said = answer.text.split('role="alert"')[1].split("</div>")[0]
    assert text_of(said).endswith("1 field needs attention: E-mail.")
    assert form_fields(answer.text, "/users")["name"] == "ada"


def test_a_wrong_variable_is_called_by_its_name(page: Client) -> None:
    path = "/projects/acme/secret-groups"
    fields = {
        "name": "mail",
        "env.0.name": "not a name",
        "env.0.value": "x",
        "env.0.from": "value",
        "env.0.scope": "run",
    }
    answer = page.post(path, data=form_fields(read(page, path), path) | fields)
    said = answer.text.split('role="alert"')[1].split("</div>")[0]
    assert "not a name" in text_of(said)


def test_overrides_that_are_wrong_are_summed_up_like_any_form(page: Client) -> None:
    path = "/projects/acme/jobs/report/run"
    answer = page.post(
        path, data=form_fields(read(page, path), path) | {"retry_limit": "many", "command": "x"}
    )
    assert answer.status_code == 422
    assert "1 field needs attention: Retries." in text_of(answer.text)
    assert re.search(r'id="f-retry_limit"[^>]*aria-invalid="true" autofocus', answer.text)
    assert answer.text.count("autofocus") == 1
