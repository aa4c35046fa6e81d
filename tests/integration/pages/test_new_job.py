"""A new job in steps, as a browser without scripts sends them: kept between steps, refused at its fields, made once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.commands.image_resolution import Sighting
from app.domain.errors import GitUnavailable, NotFound
from app.domain.job.records import Job
from app.domain.principals import Role
from app.store import builds, jobs, removal
from tests.support.client import Client
from tests.support.fakes import commit
from tests.support.forms import form_fields
from tests.support.sealed import unsealed
from tests.support.seed import World
from tests.support.shown import shown
from tests.support.visiting import visitor

URL = "https://github.com/acme/report"
PYTHON = {"main.py": "print(1)\n", "requirements.txt": "requests\n", "Procfile": "worker: python main.py\n"}


@pytest.fixture
def git(made: World) -> Any:
    repository = made.installation.repository
    repository.heads = {"main": commit(1), "release": commit(2)}
    repository.history = [commit(1)]
    repository.files[commit(1)] = PYTHON
    web = made.installation.web
    vars(made.installation)["web"] = replace(web, dry_run=replace(web.dry_run, checkouts=repository))
    made.job("other")
    return repository


@pytest.fixture
def page(made: World, git: Any) -> Client:
    return visitor(made)


def stored(made: World, name: str = "report") -> Job:
    with made.db.read() as tx:
        return jobs.named(tx, "acme", name)


def fields_of(page: Client, path: str, action: str | None = None) -> dict[str, str]:
    return form_fields(page.get(path).text, action or path.partition("?")[0])


def begun(page: Client, source: str = "git", **typed: str) -> str:
    """The address of a draft whose source was given: where the next step is."""
    start = f"/jobs/new?project=acme&source={source}"
    fields = fields_of(page, start) | {name.replace("__", "."): value for name, value in typed.items()}
    answer = page.post("/jobs/new", data=fields)
    assert answer.status_code == 303, shown(answer.text)
    return str(answer.headers["location"])


def sent(page: Client, path: str, **changes: str) -> Any:
    fields = fields_of(page, path) | {name.replace("__", "."): value for name, value in changes.items()}
    return page.post(path, data=fields)


def test_four_steps_lead_to_a_job_that_runs_what_is_pushed(made: World, page: Client) -> None:
    build = begun(page, source__git__url=URL)
    assert build.endswith("/build")
    seen = page.get(build).text
    assert "Python: found requirements.txt" in shown(seen)
    assert form_fields(seen, build)["source.build.run_command"] == "python main.py"
    answer = sent(page, build)
    start = answer.headers["location"]
    fields = fields_of(page, start)
    assert (fields["name"], fields["run_on_image_change"]) == ("report", "cd-promote")
    review = sent(page, start, env__0__name="TOKEN", env__0__value="hidden text", env__0__secret="1").headers[
        "location"
    ]
    said = shown(page.get(review).text)
    assert "What the first push will do" in said
    assert "If the build of" in said
    assert 'href="/projects/acme/jobs/report"' not in page.get(review).text  # it is not made yet
    assert "hidden text" not in page.get(start).text + page.get(review).text
    answer = page.post(review, data={})
    assert answer.headers["location"] == "/projects/acme/jobs/report"
    job = stored(made)
    assert job.source is not None
    assert (job.source.branch, job.source.build.run_command) == ("main", None)  # as detected
    assert (job.run_on_image_change, job.kind) == ("cd-promote", "manual")
    assert unsealed(made.box, job.env["TOKEN"].value) == "hidden text"
    assert page.post(review, data={}).status_code == 404
    assert page.get(start).status_code == 404


def test_without_a_branch_it_is_the_default_and_a_look_lists_all(page: Client, git: Any) -> None:
    fields = fields_of(page, "/jobs/new?project=acme") | {"source.git.url": URL, "look": "1"}
    source = page.post("/jobs/new", data=fields).headers["location"].partition("?")[0]
    again = page.get(source).text
    assert "Reached in" in again
    assert "2 branches" in shown(again)
    assert form_fields(again, source)["source.git.branch"] == "main"
    assert sent(page, source, source__git__branch="release").headers["location"].endswith("/build")
    assert fields_of(page, source)["source.git.branch"] == "release"


def test_what_was_typed_stays_whichever_way_one_goes(made: World, page: Client) -> None:
    build = begun(page, source__git__url=URL, source__git__webhook_secret="a secret of this hook")
    assert sent(page, build, source__build__build_command="make all").status_code == 303
    start = build.replace("/build", "/start")
    sent(
        page,
        start,
        name="other-name",
        env__0__name="KEY",
        env__0__value="one",
        env__0__secret="1",
        plan="micro",
    )
    source = build.replace("/build", "/source")
    assert "Set. Leave empty to keep it" in page.get(source).text
    assert "a secret of this hook" not in page.get(source).text
    assert sent(page, source).status_code == 303
    assert fields_of(page, build)["source.build.build_command"] == "make all"
    fields = fields_of(page, start)
    assert (fields["name"], fields["plan"], fields["env.0.value"]) == ("other-name", "micro", "")
    assert sent(page, start).status_code == 303  # the empty secret keeps what was typed
    page.post(build.replace("/build", "/review"), data={})
    job = stored(made, "other-name")
    assert job.source is not None
    assert job.source.webhook_secret is not None
    assert job.source.build.build_command == "make all"
    assert unsealed(made.box, job.env["KEY"].value) == "one"


@pytest.mark.parametrize("source", ["", "9223372036854775808", "pages"])
def test_a_source_of_no_kind_is_taken_for_a_repository(page: Client, source: str) -> None:
    fields = fields_of(page, "/jobs/new?project=acme") | {"source.type": source, "source.git.url": URL}
    answer = page.post("/jobs/new", data=fields)
    source_step = answer.headers["location"].rpartition("/")[0] + "/source"
    assert fields_of(page, source_step)["source.git.url"] == URL


def test_two_tabs_of_two_steps_don_t_undo_each_other(page: Client) -> None:
    build = begun(page, source__git__url=URL)
    start = build.replace("/build", "/start")
    first, second = fields_of(page, build), fields_of(page, start)
    page.post(start, data={**second, "display_name": "Typed in one"})
    page.post(build, data={**first, "source.build.install_command": "make deps"})
    assert fields_of(page, start)["display_name"] == "Typed in one"
    assert fields_of(page, build)["source.build.install_command"] == "make deps"


def test_a_draft_is_one_person_s_own(made: World, page: Client) -> None:
    build = begun(page, source__git__url=URL)
    other = visitor(made, None)
    with made.db.write() as tx:
        tx.connection().execute(text("UPDATE job_draft SET owner = 'user 99'"))
    for path in (build, build.replace("/build", "/review"), build.replace("/build", "/name")):
        assert page.get(path).status_code == 404
    assert page.post(build, data={}).status_code == 404
    assert page.post(build.replace("/build", "/review"), data={}).status_code == 404
    assert other.get(build).status_code == 303  # to log in


def test_nothing_that_was_typed_is_stored_in_the_clear(made: World, page: Client) -> None:
    build = begun(page, source__git__url=URL, source__git__webhook_secret="a secret of this hook")
    with made.db.read() as tx:
        [row] = tx.connection().execute(text("SELECT content FROM job_draft")).all()
    assert "github.com" not in row[0]
    assert "secret of this hook" not in row[0]
    assert page.get(build).status_code == 200


def test_old_drafts_are_swept_and_each_has_the_latest_twenty(made: World, page: Client) -> None:
    kept = [begun(page, source="none") for _ in range(21)]
    assert [page.get(path).status_code for path in (kept[0], kept[1], kept[-1])] == [404, 200, 200]
    now = made.clock.now()
    with made.db.write() as tx:
        removal.forget_expired(tx, now + timedelta(days=6))
    assert page.get(kept[-1]).status_code == 200
    with made.db.write() as tx:
        removal.forget_expired(tx, now + timedelta(days=8))
    assert page.get(kept[-1]).status_code == 404


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        ("build", "source.build.root_directory", "app"),
        ("build", "source.build.time_limit_seconds", "soon"),
        ("build", "source.build.paths", "docs/\n!"),
        ("build", "source.build.mode", "cobol"),
        ("start", "name", "Bad Name"),
        ("start", "name", ""),
        ("start", "plan", "gigantic"),
        ("start", "instances", "many"),
        ("start", "run_on_image_change", "sometimes"),
        ("start", "schedule.cron", "0 0 31 2 *"),
        ("start", "schedule.time_zone", "Mars/Base"),
        ("start", "command", "echo 'unfinished"),
        ("start", "retry_limit", "-1"),
        ("start", "env_block", "MODE=daily\nno variable"),
    ],
)
def test_nonsense_is_refused_at_its_field_and_stays_typed(
    page: Client, step: str, field: str, value: str
) -> None:
    path = begun(page, source__git__url=URL).replace("/build", f"/{step}")
    fields = fields_of(page, path) | {field: value}
    if field.startswith("schedule"):
        fields = {"schedule.cron": "0 6 * * *"} | fields | {"kind": "cron", field: value}
    if field == "schedule.time_zone":
        fields["schedule.cron"] = "0 6 * * *"
    answer = page.post(path, data=fields)
    assert answer.status_code == 422, shown(answer.text)
    assert f'id="e-{field}"' in answer.text
    assert 'class="error"' in answer.text
    assert form_fields(answer.text, path).get(field, value).replace("\r\n", "\n") == value


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"source.git.url": "no address"}, "source.git.url", "source.git.url"),
        ({"source.git.url": ""}, "source.git.url", "source.git.url"),
        ({"source.git.url": URL, "source.git.branch": "a..b"}, "source.git.branch", "branch"),
        ({"source.git.url": URL, "source.git.credential": "nobody"}, "source.git.credential", "nobody"),
    ],
)
def test_a_source_that_can_t_be_is_refused_at_its_field(
    page: Client, typed: dict[str, str], field: str, said: str
) -> None:
    fields = fields_of(page, "/jobs/new?project=acme") | typed
    answer = page.post("/jobs/new", data=fields)
    assert answer.status_code == 422
    assert f'<p class="error" id="e-{field}">' in answer.text
    assert said in shown(answer.text)


def test_a_repository_that_does_not_answer_is_told_at_its_field(page: Client, git: Any) -> None:
    git.faults.append(GitUnavailable("github.com did not answer."))
    fields = fields_of(page, "/jobs/new?project=acme") | {"source.git.url": URL}
    answer = page.post("/jobs/new", data=fields)
    assert answer.status_code == 503
    assert "github.com did not answer." in answer.text
    assert form_fields(answer.text, "/jobs/new/1/source")["source.git.url"] == URL


def test_another_type_is_offered_and_taken(made: World, page: Client, git: Any) -> None:
    git.files[commit(1)] = {**PYTHON, "Dockerfile": "FROM busybox\nCMD ./report\n", "package.json": "{}"}
    build = begun(page, source__git__url=URL)
    first = page.get(build).text
    assert "data-runtime" in first
    assert "dockerfile" in shown(first)
    for choice in ("the Dockerfile: Dockerfile", "Python: requirements.txt", "Node.js: package.json"):
        assert choice in shown(first)
    looked = sent(page, build, source__build__mode="python", look="1").headers["location"]
    assert "Python: found requirements.txt" in shown(page.get(looked).text)
    assert "FROM python" in page.get(looked).text
    sent(page, build)
    sent(page, build.replace("/build", "/start"))
    page.post(build.replace("/build", "/review"), data={})
    job = stored(made)
    assert job.source is not None
    assert job.source.build.mode == "python"


def test_what_is_not_recognised_says_what_was_looked_for_and_a_command_is_enough(
    page: Client, git: Any
) -> None:
    git.files[commit(1)] = {"notes.txt": "nothing to run"}
    build = begun(page, source__git__url=URL)
    said = shown(page.get(build).text)
    assert "Nothing here says how to build this: looked for a Dockerfile" in said
    assert "Add a Dockerfile or set run_command." in said
    answer = sent(page, build, source__build__run_command="sh -c 'echo hello'")
    assert answer.status_code == 303
    assert fields_of(page, build)["source.build.run_command"] == "sh -c 'echo hello'"
    assert "data-unrecognised" not in page.get(build).text


def test_directories_of_a_monorepo_are_offered(page: Client, git: Any) -> None:
    git.files[commit(1)] = {"api/requirements.txt": "", "api/main.py": "print()", "web/package.json": "{}"}
    build = begun(page, source__git__url=URL)
    said = shown(page.get(build).text)
    assert "/api (Python: requirements.txt) is there: set root_directory to it" in said
    assert "/api · Python: requirements.txt" in said
    assert sent(page, build, source__build__root_directory="/api", look="1").status_code == 303
    assert fields_of(page, build)["source.build.run_command"] == "python main.py"


def test_a_pasted_env_file_becomes_variables(made: World, page: Client) -> None:
    start = begun(page, source="none")
    pasted = "# of the server\nexport MODE='two words'\nTOKEN=abc\n"
    answer = sent(page, start, name="report", env_block=pasted, more="1")
    assert "env.1.name" in form_fields(answer.text, start)
    assert sent(page, start).status_code == 303
    page.post(start.replace("/start", "/review"), data={})
    assert {name: each.value for name, each in stored(made).env.items()} == {
        "MODE": "two words",
        "TOKEN": "abc",
    }


def test_the_next_times_are_shown_before_it_is_made(page: Client) -> None:
    start = begun(page, source="none")
    changes = {"kind": "cron", "schedule__cron": "0 6 * * *", "name": "report"}
    looked = sent(page, start, look="1", **changes).headers["location"]
    assert page.get(looked).text.count("T06:00:00") == 3
    review = sent(page, start).headers["location"]
    assert page.get(review).text.count("T06:00:00") == 3


@pytest.mark.parametrize(
    ("source", "typed"),
    [
        ("image", {"source__image": "busybox:1.36"}),
        ("none", {}),
    ],
)
def test_what_is_not_built_has_no_build(
    made: World, page: Client, source: str, typed: dict[str, str]
) -> None:
    start = begun(page, source=source, **typed)
    assert start.endswith("/start")
    assert page.get(start.replace("/start", "/build")).headers["location"] == start
    review = sent(page, start, name="report").headers["location"]
    assert "first push" not in page.get(review).text
    page.post(review, data={})
    job = stored(made)
    assert (job.spec.source.type, job.run_on_image_change) == (source, "never")


@pytest.mark.parametrize(
    ("sighting", "said"),
    [
        (Sighting("sha256:" + "e" * 64), '<span class="st" data-status="succeeded">Found</span>'),
        (
            Sighting(refusal="The registry has no image busybox:9."),
            "The registry has no image busybox:9.</span> Runs fail until it can be had.",
        ),
        (Sighting(), "Its registry did not answer in time: a run asks again."),
    ],
)
def test_an_image_is_looked_for_before_the_launch_which_waits_for_none(
    made: World, page: Client, sighting: Sighting, said: str
) -> None:
    asked = []

    def look(*of: object) -> Sighting:
        asked.append(of)
        return sighting

    vars(made.installation)["web"] = replace(made.installation.web, sighted_image=look)
    page = visitor(made)
    start = begun(page, source="image", source__image="busybox:9")
    review = sent(page, start, name="report").headers["location"]
    assert said in shown(page.get(review).text)
    assert page.post(review, data={}).headers["location"].endswith("/jobs/report")
    assert asked == [(stored(made).project_id, "busybox:9", None)]


def test_the_newest_commit_is_built_at_once_if_asked_for(made: World, page: Client) -> None:
    build = begun(page, source__git__url=URL)
    sent(page, build)
    sent(page, build.replace("/build", "/start"))
    page.post(build.replace("/build", "/review"), data={"build": "1"})
    with made.db.read() as tx:
        [queued] = builds.page(tx, limit=5, source_id=stored(made).source.id)  # type: ignore[union-attr]
    assert queued.trigger.type == "manual"


def test_a_name_is_checked_while_it_is_typed_and_a_taken_one_refused(made: World, page: Client) -> None:
    made.job("report")
    start = begun(page, source__git__url=URL).replace("/build", "/start")
    assert fields_of(page, start)["name"] == "report-2"
    name = start.replace("/start", "/name")
    assert page.get(f"{name}?name=report").text == "There is a job named report in project acme already."
    assert "lower-case" in page.get(f"{name}?name=Bad").text
    assert page.get(f"{name}?name=fine").text == ""
    refused = sent(page, start, name="report")
    assert (refused.status_code, "There is a job named report" in refused.text) == (409, True)


def test_a_review_says_what_is_missing_and_where(page: Client) -> None:
    start = begun(page, source="none")
    review = start.replace("/start", "/review")
    refused = page.post(review, data={})
    assert refused.status_code == 422
    assert f'href="{start}#f-name"' in refused.text


def test_who_may_change_nothing_has_no_draft(made: World, page: Client) -> None:
    build = begun(page, source__git__url=URL)
    for role in (Role.VIEWER, Role.OPERATOR):
        client = visitor(made, role)
        assert client.get("/jobs/new").status_code == 403
        assert client.get(build).status_code == 403
    with made.db.read() as tx, pytest.raises(NotFound):
        jobs.named(tx, "acme", "report")


def test_the_next_times_are_told_while_they_are_typed(made: World) -> None:
    client = visitor(made)
    told = client.get("/schedule/next?cron=0+3+*+*+*&zone=Europe/Berlin")
    assert told.text.startswith("Next: <time ")
    assert told.text.count("<time ") == 3
    assert "T02:00:00.000Z" in told.text
    assert client.get("/schedule/next?cron=&zone=UTC").text.strip() == ""
    wrong = client.get("/schedule/next?cron=0+3+*+*&zone=UTC")
    assert wrong.status_code == 422
    assert "A schedule has exactly five fields" in wrong.text
    assert client.get("/schedule/next?cron=0+3+*+*+*&zone=Mars/Base").status_code == 422
