"""What anybody may see: badges and the page of a project that is public, and nothing of one that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import text

from app.domain.pipelines import Component, Stage
from app.domain.runs import Reason
from app.store import jobs, pipelines, projects
from tests.support.client import Client
from tests.support.seed import SUCCEEDED, World, failed, world
from tests.support.visiting import NOW, read, visitor

SVG = "{http://www.w3.org/2000/svg}"
JOB = "/api/v1/projects/acme/badges/report.svg"
PIPELINE = "/api/v1/projects/acme/badges/pipelines/release.svg"
SAID = "a sentence that could hold anything"
HIDDEN = "a value that is nobody's business"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as each:
        each.job("report", display_name="Daily report", env={"PLACE": HIDDEN})
        yield each


def publish(made: World, *, public: bool = True) -> None:
    with made.db.write() as tx:
        projects.set_public(tx, projects.named(tx, "acme").id, public)


def run(made: World, name: str, *, succeeds: bool) -> None:
    with made.db.read() as tx:
        job = jobs.named(tx, "acme", name)
    outcome = SUCCEEDED if succeeds else failed(Reason.EXIT_NONZERO, SAID)
    made.run(job, NOW, log=b"printed by the job", outcome=outcome)


def anybody(made: World) -> Client:
    return visitor(made, None)


def said(svg: str) -> list[str]:
    """What an image says in its title and its two texts."""
    image = ElementTree.fromstring(svg)
    (title,) = image.iter(f"{SVG}title")
    return [str(title.text), *(str(each.text) for each in image.iter(f"{SVG}text"))]


def test_a_badge_says_how_the_job_is_doing(made: World) -> None:
    publish(made)
    client = anybody(made)
    assert said(read(client, JOB)) == ["Daily report: no runs", "Daily report", "no runs"]
    run(made, "report", succeeds=True)
    assert said(read(client, JOB))[0] == "Daily report: passing"
    run(made, "report", succeeds=False)
    assert said(read(client, JOB))[0] == "Daily report: failing"


def test_a_pipelines_badge_is_that_of_its_worst_job(made: World) -> None:
    publish(made)
    other = made.job("other")
    with made.db.write() as tx:
        report = jobs.named(tx, "acme", "report")
        pipeline = pipelines.create(tx, report.project_id, "release", NOW)
        stages = [Stage("one", (Component("job", report.id, "report"),))]
        stages.append(Stage("two", (Component("job", other.id, "other"),)))
        pipelines.set_stages(tx, pipeline, stages)
    client = anybody(made)
    assert said(read(client, PIPELINE))[0] == "release: no runs"
    run(made, "report", succeeds=True)
    assert said(read(client, PIPELINE))[0] == "release: passing"
    run(made, "other", succeeds=False)
    assert said(read(client, PIPELINE))[0] == "release: failing"


def test_a_badge_is_asked_for_anew_each_time_and_sent_when_it_changed(made: World) -> None:
    publish(made)
    client = anybody(made)
    first = client.get(JOB)
    assert first.headers["content-type"] == "image/svg+xml"
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
    assert first.headers["content-security-policy"].startswith("default-src 'self'")
    again = client.get(JOB, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    run(made, "report", succeeds=True)
    changed = client.get(JOB, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, said(changed.text)[0]) == (200, "Daily report: passing")


@pytest.mark.parametrize("address", ["/api/v1/projects/{}/badges/report.svg", "/public/{}"])
def test_what_is_private_answers_as_what_is_not_there(made: World, address: str) -> None:
    run(made, "report", succeeds=True)
    for client in (anybody(made), visitor(made)):
        private, missing = client.get(address.format("acme")), client.get(address.format("none"))
        assert private.status_code == missing.status_code == 404
        assert private.text.replace("acme", "none") == missing.text
        kept = ("etag", "cache-control", "content-type")
        assert [private.headers.get(name) for name in kept] == [missing.headers.get(name) for name in kept]
    publish(made)
    assert anybody(made).get(address.format("acme")).status_code == 200
    publish(made, public=False)
    assert anybody(made).get(address.format("acme")).status_code == 404


def test_a_job_or_pipeline_that_is_not_there_has_the_same_badge_as_a_private_one(made: World) -> None:
    client = anybody(made)
    private = client.get(JOB).text
    publish(made)
    for path in (JOB.replace("report", "none"), PIPELINE):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (404, private)
    assert said(private) == ["Jobyard: unknown", "Jobyard", "unknown"]


def test_a_job_that_this_version_can_not_read_has_no_badge_and_harms_no_page(made: World) -> None:
    publish(made)
    made.job("other")
    with made.db.write() as tx:
        tx.connection().execute(text("UPDATE job SET definition = '{\"version\": 99}' WHERE name = 'report'"))
    client = anybody(made)
    assert said(read(client, JOB, 404))[0] == "Jobyard: unknown"
    page = read(client, "/public/acme")
    assert "other" in page
    assert "report" in page


def test_a_name_can_be_any_text(made: World) -> None:
    publish(made)
    name = "</text><script>alert(1)</script> & \"'\x0b\u202e" + "x" * 90
    made.job("odd", display_name=name)
    image = read(anybody(made), "/api/v1/projects/acme/badges/odd.svg")
    assert "<script" not in image
    label = said(image)[1]
    assert label.startswith("</text><script>alert(1)</script> & \"'x")
    assert (len(label), label[-1]) == (60, "…")


def test_the_public_page_shows_outcomes_and_times_and_nothing_else(made: World) -> None:
    publish(made)
    run(made, "report", succeeds=True)
    run(made, "report", succeeds=False)
    page = read(anybody(made), "/public/acme")
    assert "Daily report" in page
    assert "Failing" in page
    assert re.findall(r'data-status="(\w+)" title', page) == ["failed", "succeeded"]
    for kept in (
        SAID,
        HIDDEN,
        "PLACE",
        "printed by the job",
        "report-00001",
        "github.com",
        "/runs/",
        "Exited",
    ):
        assert kept not in page
    links = set(re.findall(r'<a [^>]*href="([^"]+)"', page))
    assert links == {"#main", "/login?next=/projects/acme"}


def test_who_is_signed_in_gets_the_way_into_the_project(made: World) -> None:
    publish(made)
    assert 'href="/projects/acme">Open the project' in read(visitor(made), "/public/acme")


def test_a_project_is_made_public_on_its_page_with_badges_to_copy(made: World) -> None:
    client = visitor(made)
    before = read(client, "/projects/acme")
    assert "/badges/" not in before
    assert "Make it public" in before
    assert client.post("/projects/acme/public", data={"public": "1"}).status_code == 303
    page = read(client, "/projects/acme")
    (markdown,) = re.findall(r"\[!\[report\]\([^<]+", page)
    image, target = re.findall(r"\((http[^)]+)\)", markdown)
    stranger = anybody(made)
    assert said(read(stranger, image.partition("127.0.0.1:8080")[2]))[1] == "Daily report"
    assert "Daily report" in read(stranger, target.partition("127.0.0.1:8080")[2])
    assert client.post("/projects/acme/public", data={}).status_code == 303
    assert "/badges/" not in read(client, "/projects/acme")
