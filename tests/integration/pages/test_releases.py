"""The pages of pipelines, apps, schedules and vitals: what they say, and that their buttons do what they said."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.commands import pausing
from app.domain.health import Answer, Tally
from app.domain.job.checks import CheckType
from app.domain.job.codec import check_from_json
from app.domain.metrics import Sample
from app.domain.pipelines import Component, Stage
from app.domain.plans import MIB
from app.domain.principals import Role
from app.domain.runs import Reason
from app.store import apps, deployments, jobs, pipelines, runs
from app.store.apps import App
from app.workers.deployments import DeploymentWorker
from tests.support.client import Client
from tests.support.clock import Clock
from tests.support.seed import PASSWORD, SUCCEEDED, World, failed, world
from tests.support.shown import shown
from tests.support.stages import job_of, two_stages

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SHA = "a8810fe" + "0" * 33


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Clock(NOW)) as each:
        yield each


def visitor(made: World, role: Role = Role.OPERATOR) -> Client:
    client = Client(made.app(), follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert client.post("/login", data={"name": f"{role}-user", "password": PASSWORD}).status_code == 303
    return client


def read(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", answer.text)
    return html.unescape(answer.text)


# pipelines


def test_without_pipelines_the_page_shows_how_to_make_one(made: World) -> None:
    made.job("report")
    page = read(visitor(made, Role.ADMIN), "/pipelines")
    assert "There is no pipeline yet" in page
    assert 'href="/projects/acme/new/pipeline"' in page
    assert "/new/pipeline" not in read(visitor(made), "/pipelines")  # an operator makes none


def test_a_promotion_does_what_its_button_says(made: World) -> None:
    _, target = two_stages(made)
    client = visitor(made)
    page = read(client, "/pipelines")
    said = "Promote a8810fe to production: report-live will run."
    assert said in page
    assert "nothing deployed yet" in page
    path = "/projects/acme/pipelines/main/promote"
    stale = client.post(path, data={"component": "report", "said": "Promote b to production."})
    assert stale.status_code == 409
    assert job_of(made, target).deployed is None
    assert client.post(path, data={"component": "report", "said": said}).status_code == 303
    deployed = job_of(made, target).deployed
    assert deployed is not None
    assert deployed.sha == SHA
    page = read(client, "/pipelines")
    assert "a8810fe promoted from report (staging) to report-live (production) by operator-user." in page
    with made.db.read() as tx:
        assert [run.job for run in runs.page(tx, limit=5)] == [target.name]


def test_a_promotion_of_what_is_there_already_has_to_be_agreed_to(made: World) -> None:
    two_stages(made)
    client, path = visitor(made), "/projects/acme/pipelines/main/promote"
    preview = f"{path}?component=report"
    assert "Once more" not in read(client, preview)
    form = {"component": "report", "said": "Promote a8810fe to production: report-live will run."}
    assert client.post(path, data=form).status_code == 303
    assert "report-live has this image already." in shown(read(client, "/pipelines"))
    assert "Once more, though report-live has this image already" in shown(read(client, preview))
    refused = client.post(path, data=form)
    assert refused.status_code == 409
    assert (
        "report-live has this image already: agree to that on the page to promote it once more."
        in refused.text
    )
    with made.db.read() as tx:
        assert len(runs.page(tx, limit=5)) == 1
    assert client.post(path, data={**form, "confirm_again": "1"}).status_code == 303
    with made.db.read() as tx:
        assert len(runs.page(tx, limit=5)) == 2


def test_a_promotion_to_a_paused_job_has_to_be_agreed_to(made: World) -> None:
    _, target = two_stages(made, paused=True)
    client, path = visitor(made), "/projects/acme/pipelines/main/promote"
    said = "Promote a8810fe to production: report-live is paused, so it gets the image and nothing runs."
    assert said in read(client, "/pipelines")
    assert "Also though report-live is paused" in shown(read(client, f"{path}?component=report"))
    form = {"component": "report", "said": said}
    assert client.post(path, data=form).status_code == 409
    assert client.post(path, data={**form, "confirm_paused": "1"}).status_code == 303
    assert job_of(made, target).deployed is not None


def test_a_viewer_promotes_nothing(made: World) -> None:
    two_stages(made)
    client = visitor(made, Role.VIEWER)
    assert "Promote a8810fe" not in read(client, "/pipelines")
    assert client.post("/projects/acme/pipelines/main/promote").status_code == 403


# apps


def shop(made: World) -> App:
    """`migrate` runs before its images move, `web` only moves; both have a build."""
    web, migrate = made.job("web"), made.job("migrate", repository="acme/shop")
    for job in (web, migrate):
        made.build(job, NOW, sha=SHA)
    with made.db.write() as tx:
        app_id = apps.create(tx, web.project_id, "shop", NOW)
        apps.set_members(tx, app_id, {web.id: None, migrate.id: "pre-deploy"})
        return apps.with_id(tx, app_id)


def advance(made: World, *, succeeds: bool = True) -> None:
    """Deployments as far as they come, with every hook's run ending at once."""
    deployment_worker = DeploymentWorker(made.db, made.clock, made.names)
    outcome = SUCCEEDED if succeeds else failed(Reason.EXIT_NONZERO, "Exited with code 1.")
    while deployment_worker.step():
        with made.db.read() as tx:
            waiting = [run for run in runs.page(tx, limit=10) if not run.status.is_final]
        for run in waiting:
            made.attempt(run.id, NOW)
            made.end_attempt(run.id, outcome, NOW)


def deploy(made: World, client: Client, *, succeeds: bool = True) -> str:
    """The address of what was deployed, once it is over."""
    answer = client.post("/projects/acme/apps/shop/deploy")
    assert answer.status_code == 303, answer.text
    advance(made, succeeds=succeeds)
    return answer.headers["location"]


def row(page: str, number: int) -> str:
    """What the page says of one deployment."""
    found = re.search(rf'id="deployment-{number}">.*?</details>', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_without_apps_the_page_shows_how_to_make_one(made: World) -> None:
    made.job("report")
    page = read(visitor(made, Role.ADMIN), "/apps")
    assert "There is no app yet" in page
    assert 'href="/projects/acme/new/app"' in page
    assert "/new/app" not in read(visitor(made), "/apps")  # an operator makes none


def test_an_app_shows_its_jobs_and_each_step_of_a_deployment(made: World) -> None:
    shop(made)
    client = visitor(made)
    assert "Nothing was deployed yet" in read(client, "/apps")
    assert deploy(made, client) == "/apps#deployment-1"
    page = read(client, "/apps")
    assert re.search(r">migrate</a> <span class=\"pill\">pre-deploy</span>", page)
    first = shown(row(page, 1))
    assert "Deploy of the latest builds by operator-user." in first
    assert '<a class="link" href="/builds/1">Build 1</a>' in first
    assert re.search(r'Pre deploy: .*migrate</a> · <a class="link" href="/runs/1">run 1</a>', first)
    assert "All jobs get their new images" in first
    assert 'data-status="succeeded">Succeeded' in first
    assert "Roll back to this" not in first  # it is what is live


def test_a_deploy_of_an_app_with_a_paused_job_has_to_be_agreed_to(made: World) -> None:
    shop(made)
    client = visitor(made)
    deploy(made, client)
    with made.db.write() as tx:
        web = jobs.named(tx, "acme", "web")
        pausing.pause(tx, made.names, web, who="ada", now=NOW)
    made.build(web, NOW, sha="b" * 40)
    with made.db.write() as tx:
        has = jobs.with_id(tx, web.id).deployed
        assert has is not None
        jobs.deploy(tx, web.id, replace(has, digest="sha256:" + "9" * 64))
    for path in ("/projects/acme/apps/shop/deploy", "/deployments/1/rollback"):
        assert "Also though web is paused" in shown(read(client, path))
        refused = client.post(path)
        assert refused.status_code == 409
        assert "confirm with confirm_paused to deploy to it" in html.unescape(refused.text)
        assert client.post(path, data={"confirm_paused": "1"}).status_code == 303
        advance(made)


def test_a_failed_deployment_says_why_and_moves_nothing(made: World) -> None:
    shop(made)
    client = visitor(made)
    deploy(made, client, succeeds=False)
    shown = row(read(client, "/apps"), 1)
    assert 'class="quiet-note bad"' in shown
    assert "Exited with code 1." in shown
    assert "Roll back to this" not in shown


def test_a_deployment_is_cancelled_before_anything_moves(made: World) -> None:
    shop(made)
    client = visitor(made)
    assert client.post("/projects/acme/apps/shop/deploy").status_code == 303
    assert "Cancel this deployment" in row(read(client, "/apps"), 1)
    assert client.post("/deployments/1/cancel").status_code == 303
    assert "It is being cancelled." in read(client, "/apps")
    advance(made)
    shown = row(read(client, "/apps"), 1)
    assert 'data-status="cancelled">Cancelled' in shown
    assert "Cancelled by operator-user before anything moved." in shown


def test_rolling_back_moves_the_images_and_holds_the_app_until_released(made: World) -> None:
    app = shop(made)
    client = visitor(made)
    deploy(made, client)
    with made.db.read() as tx:
        web = jobs.named(tx, "acme", "web")
    made.build(web, NOW, sha="b" * 40)
    assert "Roll back to this" in row(read(client, "/apps"), 1)
    assert client.post("/projects/acme/apps/shop/release-hold").status_code == 409
    assert client.post("/deployments/1/rollback").headers["location"] == "/apps#deployment-2"
    advance(made)
    after = job_of(made, web).deployed
    assert after is not None
    assert after.sha == SHA
    page = read(client, "/apps")
    assert "The rollback by deployment 2 holds the app" in page
    assert client.post("/projects/acme/apps/shop/release-hold").headers["location"] == f"/apps#app-{app.id}"
    assert "holds the app" not in read(client, "/apps")


def test_a_viewer_sees_apps_and_moves_nothing(made: World) -> None:
    shop(made)
    deploy(made, visitor(made))
    client = visitor(made, Role.VIEWER)
    assert "Deploy…" not in read(client, "/apps")
    for path in ("/projects/acme/apps/shop/deploy", "/deployments/1/rollback", "/deployments/1/cancel"):
        assert client.post(path).status_code == 403
    with made.db.read() as tx:
        assert len(deployments.page(tx, limit=5)) == 1


def test_promoting_an_app_names_its_hooks_and_begins_a_deployment(made: World) -> None:
    app = shop(made)
    web, migrate = (made.job(name, repository=None) for name in ("web-live", "migrate-live"))
    with made.db.write() as tx:
        live_id = apps.create(tx, app.project_id, "shop-live", NOW)
        apps.set_members(tx, live_id, {web.id: None, migrate.id: "pre-deploy"})
        stages = [
            Stage("staging", (Component("app", app.id, app.name),)),
            Stage("production", (Component("app", live_id, "shop-live"),)),
        ]
        pipelines.set_stages(tx, pipelines.create(tx, app.project_id, "main", NOW), stages)
    client = visitor(made)
    said = (
        "Promote a8810fe to production: shop-live deploys as one;"
        " migrate-live will run pre-deploy; web-live will run."
    )
    assert said in read(client, "/pipelines")
    form = {"component": "shop", "said": said}
    assert client.post("/projects/acme/pipelines/main/promote", data=form).status_code == 303
    advance(made)
    with made.db.read() as tx:
        assert [run.job for run in runs.page(tx, limit=5)] == ["web-live", "migrate-live"]
    assert '<a class="link" href="/apps#deployment-1">deployment 1</a>' in shown(read(client, "/pipelines"))


# schedules


def cron(made: World, **changes: Any) -> None:
    made.job("nightly", kind="cron", schedule={"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}, **changes)


def test_a_schedule_shows_its_next_times_and_marks_clock_changes(made: World) -> None:
    cron(made)
    client = visitor(made)
    assert "/projects/acme/jobs/nightly/schedule" in read(client, "/projects/acme/jobs/nightly")
    page = read(client, "/projects/acme/jobs/nightly/schedule")
    rows = re.findall(r"<tr data-row>.*?</tr>", page, re.DOTALL)
    assert "Sun 2026-03-29 03:00" in rows[0]  # 02:30 does not exist on that day
    assert "clock change" in rows[0]
    assert "2026-03-29 01:00" in rows[0]
    assert "Mon 2026-03-30 02:30" in rows[1]
    assert "UTC+02:00" in rows[1]
    assert "clock change" not in "".join(rows[1:])
    assert "Nothing starts by it now" not in page


def test_the_schedule_of_a_paused_job_says_that_nothing_starts(made: World) -> None:
    cron(made, paused=True)
    assert "Nothing starts by it now" in read(visitor(made), "/projects/acme/jobs/nightly/schedule")


def test_a_job_without_a_schedule_has_no_such_page(made: World) -> None:
    made.job("by-hand")
    answer = visitor(made).get("/projects/acme/jobs/by-hand/schedule")
    assert answer.status_code == 409
    assert "has no schedule" in answer.text


# vitals


LIVENESS = {"type": "liveness", "protocol": "http", "path": "/live", "port": 8080}


def measured(made: World, **changes: Any) -> int:
    """A run over one minute: CPU up to 0.4 cores, memory to 256 MiB, and one failed answer."""
    job = made.job("api", health_checks=[LIVENESS], **changes)
    run_id = made.run(job, NOW, outcome=SUCCEEDED)
    vitals = made.log_storage.vitals(run_id, 1)
    metrics, health, tally = vitals.write_metrics(0), vitals.write_health(0), Tally()
    for second in range(0, 61, 10):
        at = NOW + timedelta(seconds=second)
        metrics.append(Sample(at, 0.1 + second / 200, (second + 4) * 4 * MIB, 0, 0, 3))
        words = "status 503" if second == 60 else "status 200"
        tally = tally.add(check_from_json(LIVENESS), Answer(at, second != 60, words, 0.02))
        health.append(CheckType.LIVENESS, tally)
    return run_id


def test_a_run_shows_what_it_used_and_how_its_checks_went(made: World) -> None:
    page = read(visitor(made), f"/runs/{measured(made)}")
    assert "peak 0.4 CPU of 0.5 CPU" in page
    assert "peak 256 MiB of 512 MiB" in page
    cpu, memory, network, processes = re.findall(r'<polyline data-hue="0" points="([^"]*)"', page)
    assert cpu.startswith("0,44.8 100,39.2")
    assert cpu.endswith("600,11.2")
    assert memory.endswith("600,28")
    assert network.startswith("100,56")  # what went between the first two samples
    assert network.endswith("600,56")
    assert "1 KiB/s" in page  # the top of a chart of nothing
    assert processes.endswith("600,0")
    assert page.count('class="usage-limit"') == 2
    assert '<span class="st" data-status="failed">Failing</span>' in page
    assert "Liveness: GET /live at port 8080" in page
    shown = re.findall(r"(passed|failed): (status \d+)", page)
    assert shown == [("failed", "status 503"), *[("passed", "status 200")] * 4]


def test_the_limit_is_always_drawn_so_that_little_looks_like_little(made: World) -> None:
    page = read(visitor(made), f"/runs/{measured(made, plan='xlarge')}")
    assert "peak 256 MiB of 8 GiB" in page
    assert page.count('class="usage-limit"') == 2
    memory = re.findall(r'<polyline data-hue="0" points="([^"]*)"', page)[1]
    assert memory.endswith("600,54.2")


def test_instances_are_drawn_over_one_another(made: World) -> None:
    job = made.job("many", instances=3)
    run_id = made.run(job, NOW, outcome=SUCCEEDED)
    vitals = made.log_storage.vitals(run_id, 1)
    for instance in (0, 2):
        metrics = vitals.write_metrics(instance)
        for second in range(3):
            sent = second * (instance + 1) * MIB
            metrics.append(Sample(NOW + timedelta(seconds=second), 0.1, MIB, 0, sent, instance + 1))
    page = read(visitor(made), f"/runs/{run_id}")
    assert re.findall(r'<polyline data-hue="(\d)"', page) == ["0", "2"] * 4
    assert "peak 3 MiB/s" in page
    spoken = " ".join(re.findall(r'aria-label="(Processes[^"]*)"', page)[0].split())
    assert spoken == "Processes: peak 3; instance 0 peak 1, instance 2 peak 3"


def test_two_samples_are_no_chart(made: World) -> None:
    run_id = made.run(made.job("brief"), NOW, outcome=SUCCEEDED)
    metrics = made.log_storage.vitals(run_id, 1).write_metrics(0)
    for second in range(2):
        metrics.append(Sample(NOW + timedelta(seconds=second), 0.1, MIB, 0, 0, 1))
    assert 'id="usage-title"' not in read(visitor(made), f"/runs/{run_id}")


def test_a_run_without_measurements_has_no_empty_charts(made: World) -> None:
    page = read(visitor(made), f"/runs/{made.run(made.job('quick'), NOW, outcome=SUCCEEDED)}")
    assert 'id="usage-title"' not in page
    assert '<h2 id="health-title"' not in page
