"""Sections of a job's settings: each saves by itself, and nothing that somebody else has changed meanwhile."""

from __future__ import annotations

import pytest

from app.domain.job.records import Job
from app.store import jobs
from app.web.pages.job_sections import SECTIONS, section_of
from tests.support.client import Client
from tests.support.forms import form_fields
from tests.support.seed import World
from tests.support.shown import shown
from tests.support.visiting import visitor

PAGE = "/projects/acme/jobs/report/settings"


@pytest.fixture
def page(made: World) -> Client:
    made.job("report")
    return visitor(made)


def typed(page: Client, **changes: str) -> dict[str, str]:
    fields = form_fields(page.get(PAGE).text, PAGE)
    return fields | {name.replace("__", "."): value for name, value in changes.items()}


def stored(made: World) -> Job:
    with made.db.read() as tx:
        return jobs.named(tx, "acme", "report")


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("source", "display_name", "Report"),
        ("push", "run_on_image_change", "always"),
        ("starts", "deploy_trigger", "pre-deploy"),
        ("runs", "instances", "3"),
        ("limits", "retry_limit", "2"),
        ("health", "health_checks.startup.protocol", "tcp"),
    ],
)
def test_a_section_is_saved_by_itself(
    made: World, page: Client, section: str, field: str, value: str
) -> None:
    before = stored(made)
    fields = typed(page) | {"section": section, field: value, "health_checks.startup.port": "80"}
    if section != "health":
        del fields["health_checks.startup.port"]
    answer = page.post(PAGE, data=fields)
    assert answer.headers["location"] == f"{PAGE}?saved={section}#s-{section}"
    assert stored(made) != before
    assert form_fields(page.get(PAGE).text, PAGE)[field] == value
    assert section_of(field) == section


def test_what_is_typed_elsewhere_stays_typed_and_is_not_saved(made: World, page: Client) -> None:
    answer = page.post(PAGE, data=typed(page, section="limits", retry_limit="2", instances="many"))
    assert answer.status_code == 200
    assert "Retries and limits. Other sections have changes that are not saved yet." in shown(answer.text)
    assert form_fields(answer.text, PAGE)["instances"] == "many"
    run = stored(made).spec.run
    assert (run.retry_limit, run.instances) == (2, 1)
    again = form_fields(answer.text, PAGE) | {"section": "runs", "instances": "3"}
    assert page.post(PAGE, data=again).status_code == 303
    assert stored(made).spec.run.instances == 3


def test_an_error_of_a_section_keeps_all_that_was_typed_and_has_the_focus(made: World, page: Client) -> None:
    before = stored(made)
    answer = page.post(
        PAGE, data=typed(page, section="runs", instances="many", retry_limit="2", display_name="Typed")
    )
    assert answer.status_code == 422
    fields = form_fields(answer.text, PAGE)
    assert (fields["instances"], fields["retry_limit"], fields["display_name"]) == ("many", "2", "Typed")
    assert 'name="instances" aria-describedby="e-instances" aria-invalid="true" autofocus' in answer.text
    assert stored(made) == before


def test_variables_are_a_section(made: World, page: Client) -> None:
    changes = {"env.0.name": "MODE", "env.0.value": "daily", "retry_limit": "5"}
    assert page.post(PAGE, data=typed(page, section="env") | changes).status_code == 200
    job = stored(made)
    assert (job.env["MODE"].value, job.spec.run.retry_limit) == ("daily", 0)


@pytest.mark.parametrize("section", ["limits", ""])
def test_what_somebody_else_has_changed_is_told_and_not_overwritten(
    made: World, page: Client, section: str
) -> None:
    old = typed(page, section=section, retry_limit="2")
    assert page.post(PAGE, data=typed(page, retry_limit="7")).status_code == 303
    answer = page.post(PAGE, data=old)
    assert answer.status_code == 409
    assert "Somebody else has changed this meanwhile: Retries and limits. Nothing was saved" in shown(
        answer.text
    )
    assert form_fields(answer.text, PAGE)["retry_limit"] == "2"
    assert stored(made).spec.run.retry_limit == 7
    assert page.post(PAGE, data=form_fields(answer.text, PAGE)).status_code == 409


def test_a_change_of_another_section_hinders_nobody(made: World, page: Client) -> None:
    old = typed(page, section="runs", instances="3")
    assert page.post(PAGE, data=typed(page, section="limits", retry_limit="7")).status_code == 303
    assert page.post(PAGE, data=old).status_code == 200
    run = stored(made).spec.run
    assert (run.instances, run.retry_limit) == (3, 7)


def test_every_field_is_in_a_section(page: Client) -> None:
    names = [name for name in typed(page) if not name.startswith("was.")]
    assert {section_of(name) for name in names} == set(SECTIONS)
