"""What the buttons of the pages do: cancel, deploy, run, build."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.job.variables import EnvValue
from app.domain.principals import Role
from app.domain.runs import RunStatus, TriggerType
from app.domain.sealing import Owner
from app.store import builds, decisions, jobs, quotas, runs, secret_groups
from tests.support.demo_shared import furnish_shared
from tests.support.demo_world import Demo
from tests.support.forms import form_fields
from tests.support.sealed import unsealed
from tests.support.seed import World
from tests.support.shown import shown
from tests.support.visiting import NOW, read, run_of, visitor


def test_cancelling_a_run_and_a_build(made: World, demo: Demo) -> None:
    client, run = visitor(made, Role.OPERATOR), run_of(made, demo.running_run)
    assert client.post(f"/runs/{run.id}/cancel").headers["location"] == f"/runs/{run.name}"
    assert "Cancelled by operator-user." in run_of(made, run.id).cancel_sentence
    assert "Kill it now" in read(client, f"/runs/{run.id}")
    client.post(f"/runs/{run.id}/cancel")
    assert "Killing" in read(client, f"/runs/{run.id}")
    why = read(client, f"/projects/{run.project}/jobs/{run.job}/decisions?verdict=cancelled")
    assert f"Run {run.name} cancelled by operator-user: it has at most 30 s to end by itself." in why
    assert f"Run {run.name} cancelled once more by operator-user: it is killed at once." in why
    assert client.post(f"/runs/{demo.finished_run}/cancel").status_code == 409
    client.post(f"/builds/{demo.running_build}/cancel")
    with made.db.read() as tx:
        assert builds.with_id(tx, demo.running_build).cancel_requested_at == NOW
    assert client.post(f"/builds/{demo.build}/cancel").status_code == 409


def test_a_build_is_deployed_from_its_page_which_says_what_will_happen(made: World, demo: Demo) -> None:
    client = visitor(made, Role.OPERATOR)
    page = read(client, f"/builds/{demo.build}")
    deploy = page[page.index("Deploy it") :]
    said = re.search(r'id="deploy-said" aria-live="polite">([^<]*deployed by operator-user[^<]*)</p>', deploy)
    assert said is not None
    fields = form_fields(deploy, f"/builds/{demo.build}/deploy")
    answer = client.post(f"/builds/{demo.build}/deploy", data=fields)
    assert answer.status_code == 303
    with made.db.read() as tx:
        job = jobs.named(tx, fields["project"], fields["job"])
        (decision, *_) = decisions.page(tx, limit=1, job_id=job.id)
    assert job.deployed is not None
    assert job.deployed.build_id == demo.build
    assert decision.sentence == html.unescape(said[1])
    assert "Deploy it" not in read(client, f"/builds/{demo.running_build}")
    assert client.post(f"/builds/{demo.running_build}/deploy", data=fields).status_code == 422
    assert "Deploy it" not in read(visitor(made, Role.VIEWER), f"/builds/{demo.build}")


def test_a_build_of_several_jobs_is_deployed_to_the_chosen_one(made: World) -> None:
    made.job("embeddings")
    furnish_shared(made)
    with made.db.read() as tx:
        job = jobs.named(tx, "acme", "clean-up")
    build = made.build(job, NOW - timedelta(hours=1), sha="a" * 40)
    client = visitor(made, Role.OPERATOR)
    deploy = read(client, f"/builds/{build}").partition("Deploy it")[2]
    assert re.findall(r'<option value="([^"]+)" data-said="[^"]+">', deploy) == ["clean-up", "re-index"]
    assert deploy.count('/deploy"') == 1
    fields = {**form_fields(deploy, f"/builds/{build}/deploy"), "job": "re-index"}
    assert client.post(f"/builds/{build}/deploy", data=fields).status_code == 303
    with made.db.read() as tx:
        deployed = jobs.named(tx, "acme", "re-index").deployed
    assert deployed is not None
    assert deployed.build_id == build


def test_run_now_starts_a_run_by_that_person(made: World, demo: Demo) -> None:
    client = visitor(made, Role.OPERATOR)
    answer = client.post(f"/projects/acme/jobs/{demo.job.name}/run")
    page = read(client, answer.headers["location"])
    assert "Started manually by operator-user." in page
    assert "Waits to start" in page


def test_run_with_changes_previews_then_starts(made: World, demo: Demo) -> None:
    client, path = visitor(made, Role.OPERATOR), f"/projects/acme/jobs/{demo.job.name}/run"
    changes = {
        "command": "python embed.py 'one file'",
        "env": "BATCH=7\nAPI_TOKEN=new secret\nMODEL\n",
        "plan": "large",
        "retry_limit": "1",
        "time_limit_seconds": "none",
    }
    preview = client.post(path, data={**changes, "preview": "1"})
    assert preview.status_code == 200
    page = shown(preview.text)
    page = page[page.index("What it would run with") :]
    assert re.search(r"BATCH</dt><dd><code>7</code> <span[^>]*>override", page)
    assert re.search(r"MODEL</dt><dd><code>unset", page)
    with made.db.read() as tx:
        before = runs.page(tx, limit=1)[0].id
    run = run_of(made, before + 1) if client.post(path, data=changes).status_code == 303 else None
    assert run is not None
    assert run.trigger.type is TriggerType.MANUAL
    assert run.spec.env["BATCH"] == EnvValue("7")
    assert "MODEL" not in run.spec.env
    token = run.spec.env["API_TOKEN"]
    assert token.secret
    assert unsealed(made.box, token.value) == "new secret"
    assert (run.spec.plan, run.spec.retry_limit, run.spec.time_limit_seconds) == ("large", 1, None)
    again = read(client, f"{path}?like={run.name}")
    assert "BATCH=7\nMODEL</textarea>" in again  # and no secret
    assert "&#39;one file&#39;" in again


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("command", "echo 'open", "as a shell would split it"),
        ("env", "1X=2", "no variable&#39;s name"),
        ("plan", "gigantic", "must be one of the plans"),
        ("retry_limit", "-1", "at least 0"),
        ("retry_limit", "²", "whole number"),
        ("time_limit_seconds", "0", "at least 1"),
        ("image", "Bad Image", "image reference"),
        ("build", "99", "which build 99 is not"),
        ("sha", "4f2a9c1", "must be a commit that was built"),
        ("process", "a b", "name of a process"),
    ],
)
def test_run_form_says_which_field_is_wrong_and_keeps_what_was_typed(
    made: World, demo: Demo, field: str, value: str, says: str
) -> None:
    client = visitor(made, Role.OPERATOR)
    answer = client.post(
        f"/projects/acme/jobs/{demo.job.name}/run",
        data={field: value, "env": value if field == "env" else "A=kept"},
    )
    assert answer.status_code == 422
    wrong = answer.text[answer.text.index("field wrong") :]
    assert says in wrong[: wrong.index("</div>")]
    assert field == "env" or "A=kept" in answer.text


def test_limits_are_said_at_the_run_form_and_on_the_page_of_a_run_that_waits(made: World, demo: Demo) -> None:
    client, action = visitor(made, Role.OPERATOR), f"/projects/acme/jobs/{demo.job.name}/run"
    name = client.post(action, data={"env": "A=kept"}).headers["location"].removeprefix("/runs/")
    with made.db.write() as tx:
        waiting = runs.named(tx, name)
        queued = len(runs.page(tx, limit=50, project_id=waiting.project_id, statuses=[RunStatus.QUEUED]))
        at_work = len(runs.page(tx, limit=50, project_id=waiting.project_id, statuses=[RunStatus.RUNNING]))
        quotas.set_own(tx, waiting.project_id, {"queued_runs": queued, "runs_at_once": at_work})
    answer = client.post(action, data={"env": "A=kept"})
    assert answer.status_code == 429
    assert f"project acme has {queued} of {queued} runs queued" in answer.text
    assert "A=kept" in answer.text
    assert f"Waits: project acme has {at_work} of {at_work} runs at work" in read(client, f"/runs/{name}")


def test_run_form_says_that_a_shell_has_nothing_to_wrap(made: World, demo: Demo) -> None:
    with made.db.write() as tx:
        spec = replace(demo.job.spec, run=replace(demo.job.spec.run, command=None, process=None))
        jobs.redefine(tx, demo.job.id, spec, None, made.clock.now())
    client = visitor(made, Role.OPERATOR)
    answer = client.post(f"/projects/acme/jobs/{demo.job.name}/run", data={"shell": "1"})
    assert answer.status_code == 422
    wrong = answer.text[answer.text.index("field wrong") :]
    assert "shell wraps a command or a process" in wrong[: wrong.index("</div>")]


def test_a_link_to_the_run_form_has_no_secret_and_starts_nothing(made: World, demo: Demo) -> None:
    """Whether the secret is the job's own or a group's, which the preview shows too."""
    client, path = visitor(made, Role.OPERATOR), f"/projects/acme/jobs/{demo.job.name}/run"
    now = made.clock.now()
    sealed = EnvValue(
        made.box.seal("of the group", Owner.group(demo.job.project_id, 1).variable("GROUP_TOKEN")),
        secret=True,
    )
    with made.db.write() as tx:
        env = {"SHARED": EnvValue("plain"), "GROUP_TOKEN": sealed}
        group = secret_groups.create(tx, demo.job.project_id, name="all", priority=1, env=env, now=now)
        secret_groups.attach(tx, group, [demo.job.name])
        before = runs.page(tx, limit=1)[0].id
    typed = {
        "command": "ls",
        "env": "BATCH=7\nAPI_TOKEN=hidden one\nGROUP_TOKEN=hidden two",
        "entrypoint": "tini",
    }
    page = shown(client.post(path, data={**typed, "preview": "1"}).text)
    assert re.search(r"SHARED</dt><dd><code>plain</code> <span[^>]*>group all", page)
    found = re.search(r'href="(/projects/[^"]+/run\?[^"]+)"', page)
    assert found is not None
    link = found[1].replace("&amp;", "&")
    assert "hidden" not in link
    opened = form_fields(read(client, link), path)
    assert (opened["command"], opened["entrypoint"], opened["env"]) == ("ls", "tini", "BATCH=7")
    with made.db.read() as tx:
        assert runs.page(tx, limit=1)[0].id == before
    client.post(path, data=typed)
    env = run_of(made, before + 1).spec.env
    assert unsealed(made.box, env["GROUP_TOKEN"].value) == "hidden two"


def test_a_paused_job_runs_only_when_that_is_confirmed(made: World, demo: Demo) -> None:
    client, job = visitor(made, Role.OPERATOR), f"/projects/acme/jobs/{demo.job.name}"
    client.post(f"{job}/pause")
    with made.db.read() as tx:
        assert jobs.with_id(tx, demo.job.id).paused
    assert "Run now" not in read(client, job)
    refused = client.post(f"{job}/run")
    assert refused.status_code == 409
    assert "is paused" in refused.text
    assert client.post(f"{job}/run", data={"confirm_paused": "1"}).status_code == 303
    client.post(f"{job}/resume")
    assert "Run now" in read(client, job)


def test_running_again_and_building_by_hand(made: World, demo: Demo) -> None:
    client = visitor(made, Role.OPERATOR)
    answer = client.post(f"/runs/{demo.failed_run}/again")
    page = read(client, answer.headers["location"])
    assert "operator-user" in page
    built = client.post(f"/projects/acme/jobs/{demo.job.name}/build")
    assert "Queued" in read(client, built.headers["location"])
    assert client.post("/projects/research/jobs/backfill/run").status_code == 409
