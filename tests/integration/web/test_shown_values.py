"""What the API and the pages show of a run and of a job: names beside digests, variables of one form, true times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from app.commands.runs import enqueue_run
from app.domain.errors import InvalidValue
from app.domain.runs import Outcome, Trigger, TriggerType
from app.domain.schedule import Schedule
from app.runtime.engine_health import EngineHealth
from app.store import run_attempts, runs
from app.web.app import create_app
from app.web.schemas.run import run_answer
from app.web.server_context import ServerContext
from tests.support.api import Caller, attempt_ends
from tests.support.client import Client
from tests.support.fakes import commit
from tests.support.installation import Installation
from tests.support.server_context import ADMIN_TOKEN

JOBS = "/projects/acme/jobs"
TAG = "registry.example.com/team/tool:v1"
IMAGE: dict[str, Any] = {"name": "tool", "source": {"type": "image", "image": TAG}}


@pytest.fixture
def page(context: ServerContext) -> Iterator[Client]:
    """The pages as an administrator sees them."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with Client(create_app(context, nullcontext), headers=headers, follow_redirects=False) as client:
        yield client


# what an image is called


def test_a_run_keeps_the_tag_that_its_image_was_called_by(place: Installation) -> None:
    job = place.job("tool", source=IMAGE["source"])
    with place.db.write() as tx:
        enqueue_run(tx, place.names, job, Trigger(TriggerType.API, "ada"), place.clock.now())
    place.server("one").work()
    (run,) = place.runs()
    assert run.reference == TAG
    assert run.image == f"{TAG}@{run.digest}"
    assert run_answer(run).reference == TAG


def test_a_build_is_called_by_no_tag(place: Installation) -> None:
    place.job()
    place.push(commit("a"), commit("b"))
    place.server("one").work()
    (run,) = place.runs()
    assert (run.reference, run.build_id) == (None, 1)


def test_the_tag_stays_with_what_is_deployed_run_again_and_rolled_back(
    admin: Caller, context: ServerContext
) -> None:
    admin.made(JOBS, IMAGE)
    deployed = admin.made(f"{JOBS}/tool/deploy", {"image": TAG})["job"]["deployed"]
    assert (deployed["reference"], deployed["image"]) == (
        TAG,
        f"{TAG.removesuffix(':v1')}@{deployed['digest']}",
    )
    asked = admin.made(f"{JOBS}/tool/runs", {"image": "busybox:1.36"})
    assert asked["reference"] == "busybox:1.36"
    attempt_ends(context, Outcome(None, 0))
    assert admin.made(f"/runs/{asked['id']}/rerun")["reference"] == "busybox:1.36"


def test_pages_show_the_tag_beside_the_digest(admin: Caller, context: ServerContext, page: Client) -> None:
    admin.made(JOBS, IMAGE)
    admin.made(f"{JOBS}/tool/deploy", {"image": TAG})
    run = admin.made(f"{JOBS}/tool/runs", {"image": "busybox:1.36"})
    attempt_ends(context, Outcome(None, 0))
    assert "<code>busybox:1.36</code>" in page.get(f"/runs/{run['name']}").text
    assert f"<code>{TAG}</code>" in page.get(f"{JOBS}/tool").text


# times and numbers


def test_a_queued_run_has_not_started_on_the_page_of_its_job(
    admin: Caller, context: ServerContext, page: Client
) -> None:
    admin.made(JOBS, IMAGE)
    admin.made(f"{JOBS}/tool/runs")
    assert "not yet" in page.get(f"{JOBS}/tool").text
    assert admin.got(f"{JOBS}/tool")["last_run"]["started_at"] is None
    attempt_ends(context, Outcome(None, 0))
    assert "not yet" not in page.get(f"{JOBS}/tool").text
    assert admin.got(f"{JOBS}/tool")["last_run"]["started_at"]


def test_the_page_of_a_job_says_how_many_instances_a_run_has(admin: Caller, page: Client) -> None:
    admin.made(JOBS, {**IMAGE, "instances": 3})
    text = page.get(f"{JOBS}/tool").text
    assert "small \N{MULTIPLICATION SIGN} 3" in text
    assert "<dt>Instances</dt><dd>3</dd>" in text


# variables


def test_variables_of_a_run_are_texts_unless_they_are_secret(admin: Caller, page: Client) -> None:
    env = {
        "PLAIN": "1",
        "BOTH": {"value": "2", "scope": "both"},
        "BUILD": {"value": "3", "scope": "build"},
        "SECRET": {"value": "four", "secret": True, "scope": "both"},
    }
    git = {"type": "git", "git": {"url": "https://github.com/acme/report"}}
    admin.made(JOBS, {"name": "report", "source": git, "env": env})
    rehearsed = admin.made(f"{JOBS}/report/runs?dry_run=1", {"env": {"PLAIN": {"value": "5"}}})
    secret = {"value": None, "secret": True, "scope": "both"}
    assert rehearsed["effective"]["env"] == {"PLAIN": "5", "BOTH": "2", "SECRET": secret}
    assert {name for name in rehearsed["origins"] if name.startswith("env.")} == {
        "env.PLAIN", "env.BOTH", "env.SECRET",
    }  # fmt: skip
    preview = page.post(
        f"{JOBS}/report/run",
        data={"preview": "1", "env": "PLAIN=5"},
        headers={"Sec-Fetch-Site": "same-origin"},
    ).text
    shown = preview.partition("preview-title")[2].partition("</section>")[0]
    assert "BOTH" in shown
    assert "BUILD" not in shown


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ab\ncd\n", "lines of fewer than 4 characters"),
        ("abc   \t", "lines of fewer than 4 characters"),
        ("ab\ncdef", None),
        ("abc", "fewer than 4 characters"),
    ],
)
def test_a_secret_no_line_of_which_is_masked_is_warned_of(
    admin: Caller, value: str, said: str | None
) -> None:
    job = {"name": "report", "env": {"KEY": {"value": value, "secret": True}}}
    expected = [f"KEY is a secret of {said}: too short to be masked in logs."] if said else []
    assert admin.made(JOBS, job)["warnings"] == expected


def test_a_short_secret_of_a_flow_is_warned_of_too(admin: Caller, page: Client) -> None:
    admin.made(JOBS, IMAGE)
    env = {"KEY": {"value": "abc", "secret": True}}
    node = {"name": "run", "type": "run", "job": "tool", "overrides": {"env": env}}
    said = "KEY is a secret of fewer than 4 characters: too short to be masked in logs."
    assert admin.made("/projects/acme/flows", {"name": "nightly", "nodes": [node]})["warnings"] == [said]
    assert said in page.get("/projects/acme/flows/nightly").text


# words


@pytest.mark.parametrize(
    "cron", ["H * * * *", "* * * * MOO", "@Often", "TZ=UTC 0 6 * * *", "0 6 * Foo-Bar *"]
)
def test_a_refusal_repeats_a_schedule_as_it_was_typed(cron: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        Schedule.parse(cron)
    odd = next(word for word in cron.split() if any(letter.isupper() for letter in word))
    assert f"'{odd}'" in str(refusal.value) or odd == "TZ=UTC"
    assert f"'{odd.lower()}'" not in str(refusal.value)


@pytest.mark.parametrize("cron", ["0 6 * JAN Mon", "@DAILY", "0 6 * * SUN"])
def test_letters_of_either_case_are_read(cron: str) -> None:
    assert Schedule.parse(cron).fields == Schedule.parse(cron.lower()).fields


# a cancel that the engine keeps waiting


def test_a_cancel_says_at_once_what_it_waits_for(admin: Caller, context: ServerContext) -> None:
    admin.made(JOBS, IMAGE)
    run = admin.made(f"{JOBS}/tool/runs")
    with context.db.write() as tx:
        claimed = runs.claim(tx, "tests", context.clock.now())
        assert claimed is not None
        attempt = run_attempts.begin_attempt(tx, claimed, context.clock.now())
        assert attempt is not None
    admin.made(f"/runs/{run['id']}/cancel")
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    def said(health: EngineHealth) -> str:
        app = create_app(replace(context, engine_health=lambda: health), nullcontext)
        with Client(app, headers=headers) as client:
            return (
                client.get(f"/runs/{run['name']}").text.partition("<b>Stopping</b>")[2].partition("</div>")[0]
            )

    up, down = EngineHealth(True, "It answers."), EngineHealth(False, "The engine is silent.")
    assert "Cancelled by admin token." in said(up)
    assert "as soon as the container engine has answered" in said(up)
    assert "It ends once the container engine answers. The engine is silent." in said(down)
    with context.db.write() as tx:
        current = runs.with_id(tx, claimed.id)
        for container in run_attempts.containers_of(tx, attempt.id):
            run_attempts.container_started(tx, current, container, {"id": container.key}, context.clock.now())
    assert "The process has at most 30 s to end by itself." in said(up)
