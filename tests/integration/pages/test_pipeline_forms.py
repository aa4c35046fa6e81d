"""Pipelines by their pages: stages that are changed by buttons, and promotions that say first what they do."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.commands.run_differences import CommitRanges
from app.domain.events import Commit
from app.domain.pipelines import Component, Stage
from app.domain.principals import Role
from app.store import jobs, pipelines
from app.web.app import create_app
from app.web.pages.pipeline_board import ASKED
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.forms import form_fields
from tests.support.seed import PASSWORD, SUCCEEDED, World, world
from tests.support.shown import shown
from tests.support.stages import SHA, job_of, two_stages
from tests.support.visiting import OURS, read, visitor

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
OLD = "b" * 40
NEW, MAIN = "/projects/acme/new/pipeline", "/projects/acme/pipelines/main"
SETTINGS, PROMOTE = f"{MAIN}/settings", f"{MAIN}/promote"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(NOW)) as each:
        yield each


def stages(made: World) -> list[tuple[str, list[str]]]:
    with made.db.read() as tx:
        found = pipelines.named(tx, "acme", "main")
    return [(stage.name, [each.name for each in stage.components]) for stage in found.stages]


def typed(*columns: tuple[str, str, list[str]], **more: str) -> dict[str, Any]:
    """A form with these stages: key, name, components."""
    fields: dict[str, Any] = {"stages": [key for key, _, _ in columns]}
    for key, name, components in columns:
        fields |= {f"name.{key}": name, f"in.{key}": components}
    return fields | {name.replace("_", "."): value for name, value in more.items()}


def columns(page: str) -> list[tuple[str, list[str]]]:
    """The stages that a form shows, with what is in each."""
    fields = page.split('<section class="stage"')[1:]
    names = [each.partition('name="name.')[2].partition('value="')[2].partition('"')[0] for each in fields]
    inside = [[part.partition('"')[0] for part in each.split('id="component-')[1:]] for each in fields]
    return list(zip(names, inside, strict=True))


def test_a_pipeline_is_made_of_the_usual_stages(made: World) -> None:
    made.job("report")
    client = visitor(made)
    page = read(client, NEW)
    assert [name for name, _ in columns(page)] == ["development", "staging", "production"]
    fields = form_fields(page, NEW)
    columns_ = (("0", "development", []), ("1", "staging", ["report"]), ("2", "production", []))
    answer = client.post(NEW, data={"name": "main", **typed(*columns_)})
    assert answer.headers["location"] == MAIN, (answer.text, fields)
    assert stages(made) == [("development", []), ("staging", ["report"]), ("production", [])]
    assert "report" in read(client, MAIN)


@pytest.mark.parametrize(
    ("pressed", "after"),
    [
        ("down:0", [("b", ["three"]), ("a", ["one", "two"])]),
        ("up:0", [("a", ["one", "two"]), ("b", ["three"])]),
        ("out:0", [("b", ["three"])]),
        ("add", [("a", ["one", "two"]), ("b", ["three"]), ("", [])]),
        ("put:1", [("a", ["one", "two"]), ("b", ["three", "four"])]),
        ("right:one", [("a", ["two"]), ("b", ["three", "one"])]),
        ("left:one", [("a", ["one", "two"]), ("b", ["three"])]),
        ("left:three", [("a", ["one", "two", "three"]), ("b", [])]),
        ("later:one", [("a", ["two", "one"]), ("b", ["three"])]),
        ("earlier:two", [("a", ["two", "one"]), ("b", ["three"])]),
        ("drop:one", [("a", ["two"]), ("b", ["three"])]),
        ("right:nobody", [("a", ["one", "two"]), ("b", ["three"])]),
    ],
)
def test_buttons_put_stages_and_components_elsewhere_and_save_nothing(
    made: World, pressed: str, after: Sequence[tuple[str, list[str]]]
) -> None:
    for name in ("one", "two", "three", "four"):
        made.job(name)
    form = typed(("0", "a", ["one", "two"]), ("1", "b", ["three"]))
    answer = visitor(made).post(NEW, data={**form, "add.1": "four", "do": pressed})
    assert answer.status_code == 200
    assert columns(answer.text) == list(after)
    with made.db.read() as tx:
        assert pipelines.page(tx, project_id=None, limit=5) == []


def test_stages_are_added_ordered_renamed_and_removed(made: World) -> None:
    two_stages(made)
    client = visitor(made)
    assert columns(read(client, SETTINGS)) == [("staging", ["report"]), ("production", ["report-live"])]
    form = typed(("2", "test", []), ("1", "live", ["report-live"]), ("0", "staging", ["report"]))
    assert client.post(SETTINGS, data=form).headers["location"] == f"{SETTINGS}?saved=1"
    assert stages(made) == [("test", []), ("live", ["report-live"]), ("staging", ["report"])]
    form = typed(("0", "test", []))
    assert client.post(SETTINGS, data=form).status_code == 303
    assert stages(made) == [("test", [])]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (typed(("0", "a b", [])), "name.0"),
        (typed(("5", "a", []), ("3", "", [])), "name.3"),
        (typed(("0", "a", []), ("1", "a", [])), "stages"),
        (typed(("0", "a", ["nobody"])), "stages"),
        ({}, "stages"),
    ],
)
def test_what_stages_can_not_be_is_said_at_its_field(made: World, form: dict[str, Any], field: str) -> None:
    two_stages(made)
    before = stages(made)
    answer = visitor(made).post(SETTINGS, data=form)
    assert answer.status_code == 422
    assert f'id="e-{field}"' in answer.text
    assert f'<a class="link" href="#f-{field}">' in answer.text
    assert stages(made) == before


def test_a_change_by_somebody_else_is_told(made: World) -> None:
    two_stages(made)
    client = visitor(made)
    seen = form_fields(read(client, SETTINGS), SETTINGS)["seen"]
    assert client.post(SETTINGS, data=typed(("0", "staging", ["report"]))).status_code == 303
    form = typed(("0", "other", []))
    refused = client.post(SETTINGS, data={**form, "seen": seen})
    assert (refused.status_code, "Somebody changed pipeline main since" in refused.text) == (409, True)
    fresh = form_fields(refused.text, SETTINGS)["seen"]
    assert client.post(SETTINGS, data={**form, "seen": fresh}).status_code == 303
    assert stages(made) == [("other", [])]


def test_what_is_in_another_pipeline_or_in_an_app_is_not_offered(made: World) -> None:
    two_stages(made)
    made.job("spare")
    page = read(visitor(made), NEW)
    assert '<option value="spare">' in page
    assert '<option value="report">' not in page


def test_a_pipeline_is_deleted_by_its_name(made: World) -> None:
    two_stages(made)
    client = visitor(made)
    wrong = client.post(f"{SETTINGS}/delete", data={"confirm": "other"})
    assert (wrong.status_code, "Type main" in wrong.text) == (422, True)
    assert client.post(f"{SETTINGS}/delete", data={"confirm": "main"}).headers["location"] == "/pipelines"
    assert client.get(MAIN).status_code == 404


# the board


def with_git(made: World, commits: Sequence[Commit] | None) -> tuple[Client, list[tuple[str, str, str, int]]]:
    """Somebody who sees pages of a server whose mirrors know these commits, and what the mirrors were asked."""
    asked: list[tuple[str, str, str, int]] = []

    def ask(url: str, before: str, after: str, limit: int) -> Sequence[Commit] | None:
        asked.append((url, before, after, limit))
        return None if commits is None else commits[:limit]

    context = replace(made.context, commit_ranges=CommitRanges(ask))
    client = Client(create_app(context, nullcontext), follow_redirects=False, headers=OURS)
    assert client.post("/login", data={"name": "admin-user", "password": PASSWORD}).status_code == 303
    return client, asked


def behind(made: World) -> None:
    """Production has an older commit of the same repository."""
    _, target = two_stages(made)
    with made.db.write() as tx:
        report = jobs.named(tx, "acme", "report")
        assert report.deployed is not None
        jobs.deploy(tx, target.id, replace(report.deployed, sha=OLD, digest="sha256:" + "9" * 64))


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (0, "an older commit"),
        (1, "1 commit ahead"),
        (3, "3 commits ahead"),
        (30, "more than 20 commits ahead"),
        (None, "other commits"),
    ],
)
def test_between_columns_stands_how_many_commits_lie_between(
    made: World, number: int | None, sentence: str
) -> None:
    behind(made)
    known = None if number is None else [Commit(f"{at:040x}", f"Change {at}", "ada") for at in range(number)]
    client, asked = with_git(made, known)
    page = shown(read(client, "/pipelines"))
    assert sentence in page
    assert ("Change 0" in page) == bool(number)
    assert asked == [("https://github.com/acme/report", OLD, SHA, 21)]
    assert sentence in shown(read(client, f"{PROMOTE}?component=report"))


def test_where_nothing_lies_between_git_is_not_asked(made: World) -> None:
    _, target = two_stages(made)
    client, asked = with_git(made, [])
    assert "nothing there yet" in read(client, "/pipelines")
    with made.db.write() as tx:
        report = jobs.named(tx, "acme", "report")
        assert report.deployed is not None
        jobs.deploy(tx, target.id, report.deployed)
    assert "the same image" in read(client, "/pipelines")
    with made.db.write() as tx:
        jobs.deploy(tx, target.id, replace(report.deployed, digest="sha256:" + "9" * 64))
    assert "the same commit, built anew" in read(client, "/pipelines")
    with made.db.write() as tx:
        jobs.deploy(tx, target.id, replace(report.deployed, sha=None, digest="sha256:" + "9" * 64))
    assert "another image" in read(client, "/pipelines")
    assert asked == []


def test_a_page_asks_git_about_so_many_pairs_only(made: World) -> None:
    count = ASKED + 3
    pairs = [(made.job(f"one-{at}"), made.job(f"two-{at}")) for at in range(count)]
    for number, (one, two) in enumerate(pairs):
        made.build(one, NOW, sha=f"{number:040x}")
        made.build(two, NOW, sha=f"{number + 100:040x}")
    with made.db.write() as tx:
        pipeline_id = pipelines.create(tx, pairs[0][0].project_id, "main", NOW)
        sides = [tuple(Component("job", pair[side].id, pair[side].name) for pair in pairs) for side in (0, 1)]
        pipelines.set_stages(tx, pipeline_id, [Stage("a", sides[0]), Stage("b", sides[1])])
    client, asked = with_git(made, None)
    page = read(client, "/pipelines")
    assert len(asked) == ASKED
    assert (page.count("other commits"), page.count("another image")) == (ASKED, count - ASKED)


def test_a_card_has_message_age_and_state(made: World) -> None:
    report, _ = two_stages(made)
    made.build(report, NOW, sha=SHA, message="Sum up the week")
    made.run(report, NOW, outcome=SUCCEEDED)
    page = read(visitor(made), MAIN)
    card = page.partition("Stage staging")[2].partition("</article>")[0]
    assert '<p class="message">Sum up the week</p>' in card
    assert "<time" in card
    assert 'data-status="succeeded">Succeeded' in card


# promotions


def test_a_promotion_shows_its_forecast_first(made: World) -> None:
    _, target = two_stages(made)
    client = visitor(made)
    assert f'href="{PROMOTE}?component=report"' in read(client, "/pipelines")
    page = shown(html.unescape(read(client, f"{PROMOTE}?component=report")))
    assert "Promote a8810fe to production: report-live will run." in page
    assert "a8810fe promoted from report (staging) to report-live (production) by admin-user" in page
    assert "Nothing was done yet." in page
    assert job_of(made, target).deployed is None
    fields = form_fields(read(client, f"{PROMOTE}?component=report"), PROMOTE)
    assert client.post(PROMOTE, data=fields).status_code == 303
    assert job_of(made, target).deployed is not None


def test_an_administrator_promotes_past_a_stage_and_an_operator_does_not(made: World) -> None:
    report, target = two_stages(made)
    middle = made.job("report-test", repository=None)
    with made.db.write() as tx:
        pipeline = pipelines.named(tx, "acme", "main")
        [first, last] = pipeline.stages
        between = Stage("test", (Component("job", middle.id, middle.name),))
        pipelines.set_stages(tx, pipeline.id, [first, between, last])
    there = f"{PROMOTE}?component=report&to_stage=production"
    operator = read(visitor(made, Role.OPERATOR), there)
    assert "test comes between: promote there first" in operator
    assert "to_stage=production" not in operator.partition("<form")[0].partition('<nav class="tabs"')[2]
    client = visitor(made)
    fields = form_fields(read(client, there), PROMOTE)
    assert fields["said"] == "Promote a8810fe to production: report-live will run."
    refused = visitor(made, Role.OPERATOR).post(PROMOTE, data=fields)
    assert refused.status_code == 409
    assert client.post(PROMOTE, data=fields).status_code == 303
    assert job_of(made, target).deployed is not None
    assert job_of(made, report).deployed is not None


def test_what_is_no_component_can_not_be_promoted(made: World) -> None:
    two_stages(made)
    answer = visitor(made).get(f"{PROMOTE}?component=nobody")
    assert answer.status_code == 409
    assert "Choose on the board what to promote: &#39;nobody&#39; is no component of main." in answer.text
