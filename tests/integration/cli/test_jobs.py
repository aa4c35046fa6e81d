"""Jobs from the command line: named, listed, applied from files, paused; and what is said when something is wrong."""

from __future__ import annotations

import io
import json
import re
import socket
from pathlib import Path

import pytest

from app.cli.targets import complete_jobs, complete_projects, complete_runs
from tests.support.api import Caller
from tests.support.cli import Cli

REPORT = {"name": "report", "source": {"type": "image", "image": "busybox:1"}, "env": {"MODE": "daily"}}


def test_jobs_are_listed_for_people_and_for_programs(cli: Cli, admin: Caller) -> None:
    assert "no jobs yet" in cli("jobs").err
    made = admin.made("/projects/acme/jobs", REPORT)
    assert cli("jobs", "--json").json == {"items": [made], "next": None}
    header, line = cli("jobs").out.splitlines()
    assert header.split()[:2] == ["JOB", "STATE"]
    assert line.startswith("acme/report  ● active")


def test_a_job_is_shown_whole(cli: Cli, admin: Caller) -> None:
    schedule = {"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "active": False}
    made = admin.made("/projects/acme/jobs", {**REPORT, "kind": "cron", "schedule": schedule})
    assert cli("job", "report", "--json").json == made
    shown = cli("job", "acme/report").out
    for part in ("acme/report", "● inactive", "image busybox:1", "0 3 * * * (Europe/Berlin)", "MODE"):
        assert part in shown


def test_a_name_alone_is_enough_where_one_project_has_it(
    cli: Cli, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.made("/projects", {"name": "other"})
    admin.made("/projects/acme/jobs", REPORT)
    admin.made("/projects/other/jobs", REPORT)
    admin.made("/projects/other/jobs", {"name": "clean-up"})
    assert cli("job", "clean-up", "--json").json["project"] == "other"
    ambiguous = cli("job", "report")
    assert (ambiguous.status, ambiguous.out) == (1, "")
    assert "acme/report, other/report" in ambiguous.err
    assert cli("job", "other/report", "--json").json["project"] == "other"
    assert cli("job", "report", "--project", "acme", "--json").json["project"] == "acme"
    monkeypatch.setenv("JOBYARD_PROJECT", "other")
    assert cli("job", "report", "--json").json["project"] == "other"


def test_a_misspelt_name_is_answered_with_a_close_one(cli: Cli, admin: Caller) -> None:
    admin.made("/projects/acme/jobs", REPORT)
    done = cli("job", "reprot")
    assert done.status == 1
    assert "did you mean report?" in done.err


def test_apply_makes_then_changes_then_leaves_alone(cli: Cli, admin: Caller, tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(
        """
- name: report
  source: {type: image, image: "busybox:1"}
  env: {DAY: "2026-01-31", ANSWER: on, AT: "12:30"}
- name: clean-up
  kind: cron
  schedule: {cron: "0 3 * * *"}
"""
    )
    assert cli("apply", file).out == "job acme/report created\njob acme/clean-up created\n"
    assert cli("apply", file).out == "job acme/report unchanged\njob acme/clean-up unchanged\n"
    file.write_text("project: acme\nname: report\nenv: {ANSWER: null, DAY: 2026-02-01}\nretry_limit: 2\n")
    (done,) = cli("apply", file, "--json").json["items"]
    assert (done["label"], done["what"]) == ("job acme/report", "changed")
    assert {"field": "env.DAY", "before": "2026-01-31", "after": "2026-02-01"} in done["fields"]
    changed = admin.got("/projects/acme/jobs/report")
    assert changed["retry_limit"] == 2
    assert changed["env"] == {"DAY": "2026-02-01", "AT": "12:30"}


def test_apply_reads_standard_input_and_several_documents(
    cli: Cli, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("name: one\n---\nname: two\n"))
    assert [job["name"] for job in cli("apply", "-", "--json").json["items"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schedule:\n  cron: */5 * * * *\n", "line 2 (a value that begins with * needs quotes)"),
        ("just text", "must hold a job"),
        ("", "must hold a job"),
        ("- retry_limit: 2", "needs its name"),
        ("name: [report]", "needs its name"),
        ("name: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("name: report\ncolour: red", "colour"),
    ],
)
def test_a_file_that_is_no_job_changes_nothing(
    cli: Cli, admin: Caller, tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(text)
    done = cli("apply", file)
    assert done.status == 1
    assert complaint in done.err
    assert done.err.count("\n") == 1
    assert admin.got("/projects/acme/jobs")["items"] == []


def test_a_dry_run_of_apply_says_what_would_change(cli: Cli, admin: Caller) -> None:
    admin.made("/projects/acme/jobs", REPORT)
    before = admin.got("/projects/acme/jobs")
    jobs = [{"name": "report", "retry_limit": 2}, {"name": "fresh"}]
    Path("jobs.json").write_text(json.dumps(jobs))
    said = cli("apply", "jobs.json", "--dry-run").out
    assert "~ job acme/report would be changed\n    retry_limit: 0 → 2\n" in said
    assert "+ job acme/fresh would be created\n" in said
    assert said.endswith("It would be 1 created, 1 changed, 0 unchanged; nothing was done.\n")
    answers = cli("apply", "jobs.json", "--dry-run", "--json").json["items"]
    assert [each["what"] for each in answers] == ["changed", "created"]
    assert admin.got("/projects/acme/jobs") == before
    Path("jobs.json").write_text(json.dumps({"name": "report", "retry_limit": -1}))
    refused = cli("apply", "jobs.json", "--dry-run")
    assert (refused.status, "retry_limit must be at least 0, not -1" in refused.err) == (1, True)


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--json",)])
def test_one_bad_document_keeps_all_from_being_applied(
    cli: Cli, admin: Caller, options: tuple[str, ...]
) -> None:
    """Everything that is wrong in any of them is listed, with the job and field."""
    admin.made("/projects/acme/jobs", REPORT)
    before = admin.got("/projects/acme/jobs")
    good, bad, nameless, changed, late = (
        "name: good\n",
        "name: bad\nretry_limit: -1\ncolour: red\n",
        "retry_limit: 1\n",
        "name: report\nretry_limit: none\n",
        "name: late\nproject: nowhere\n",
    )
    Path("jobs.yaml").write_text("---\n".join((good, bad, nameless, changed, late)))
    done = cli("apply", "jobs.yaml", *options)
    assert (done.status, done.out) == (1, "")
    first, *wrong = done.err.splitlines()
    assert first == "jobyard: nothing was applied, as 5 things are wrong:"
    for part in (
        "job acme/bad: retry_limit must be at least 0, not -1.",
        "job acme/bad: There is no field colour.",
        "job number 3 in the file needs its name as text",
        "job acme/report: retry_limit must be a whole number, not 'none'.",
        "job nowhere/late: ",
    ):
        assert [line for line in wrong if part in line], (part, wrong)
    assert len(wrong) == 5
    assert admin.got("/projects/acme/jobs") == before


def test_pushes_and_deploys_are_rehearsed(cli: Cli, admin: Caller) -> None:
    git = {"url": "https://github.com/acme/shop", "webhook_secret": "a long secret of hooks"}
    build = {"paths": ["docs/"]}
    admin.made("/projects/acme/jobs", {"name": "shop", "source": {"type": "git", "git": git, "build": build}})
    push = ("rehearse", "acme/shop", "--after", "b" * 40, "--before", "a" * 40)
    assert re.search(r"acme/shop +no +no +no .*path rules", cli(*push, "--file", "docs/a.md").out)
    assert cli(*push, "--file", "main.py", "--json").json["items"][0]["would_build"] is True
    image = cli("deploy", "shop", "--image", "busybox:1", "--dry-run")
    assert re.search(r"acme/shop +no +yes +no .*deployed by", image.out)
    assert cli("deploy", "shop", "--dry-run").status == 2
    assert admin.got("/decisions")["items"] == []


def test_a_job_is_deleted_by_its_name(cli: Cli, admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.made("/projects/acme/jobs", REPORT)
    wrong = cli("delete", "report", "--confirm", "reports")
    assert (wrong.status, "confirm must name what is deleted" in wrong.err) == (1, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("report\n"))
    assert cli("delete", "report").out.endswith("acme/report is deleted.\n")
    assert admin.get("/projects/acme/jobs/report").status_code == 404


SHARED = {
    "credential": {"name": "one", "kind": "git", "host": "github.com", "secret": "a hidden token"},
    "secret-group": {
        "name": "one",
        "priority": 3,
        "env": {"KEY": {"value": "a hidden token", "secret": True}},
    },
    "build-service": {"name": "one", "git": {"url": "https://github.com/acme/shared"}},
}


@pytest.mark.parametrize("kind", SHARED)
def test_what_jobs_share_is_applied_listed_and_deleted(cli: Cli, admin: Caller, kind: str) -> None:
    Path("one.json").write_text(json.dumps(SHARED[kind]))
    assert cli(kind, "apply", "one.json").out == "acme/one created\n"
    again = cli(kind, "apply", "one.json")
    assert (again.status, again.out) == (
        0,
        f"acme/one {'changed' if kind == 'credential' else 'unchanged'}\n",
    )
    listed = cli(kind, "list", "--json").json
    assert listed == admin.got(f"/projects/acme/{kind}s")
    shown = cli(kind, "list").out
    assert re.search("^one ", shown, re.MULTILINE)
    assert "hidden" not in shown + json.dumps(listed)
    assert cli(kind, "delete", "one", "--confirm", "two").status == 1
    assert cli(kind, "delete", "one", "--confirm", "one").out == "acme/one is deleted.\n"
    assert cli(kind, "list", "--json").json["items"] == []
    Path("one.json").write_text("[7]")
    assert f"must hold a {kind.replace('-', ' ')}" in cli(kind, "apply", "one.json").err


def test_pause_and_resume(cli: Cli, admin: Caller) -> None:
    admin.made("/projects/acme/jobs", REPORT)
    assert cli("pause", "report").out == "acme/report is paused.\n"
    assert admin.got("/projects/acme/jobs/report")["paused"] is True
    assert cli("resume", "report", "--no-cd", "--json").json["cd_enabled"] is False
    assert admin.got("/projects/acme/jobs/report")["paused"] is False


def test_why_and_decisions(cli: Cli, admin: Caller) -> None:
    admin.made("/projects/acme/jobs", REPORT)
    admin.made("/projects/acme/jobs/report/runs")
    whys = cli("why", "report", "--json").json
    assert whys == admin.got("/projects/acme/jobs/report/why")
    assert whys["items"][0]["sentence"] in cli("why", "report").out
    assert cli("why", "report", "--at", "2026-01-30T00:00:00Z", "--json").json["items"] == []
    listed = cli("decisions", "--job", "report", "--json").json["items"]
    assert [{**each, "commit_status": None} for each in listed] == whys["items"]
    assert cli("decisions", "--since", "2026-02-01", "--json").json["items"] == []
    assert cli("why", "report", "--at", "teatime").status == 2


def test_projects_and_tokens(cli: Cli, admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret from a pipe\n"))
    made = cli("project", "create", "second", "--webhook-secret", "-", "--json").json
    assert (made["name"], made["has_webhook_secret"]) == ("second", True)
    assert [each["name"] for each in cli("project", "list", "--json").json["items"]] == ["second", "acme"]
    made = cli("token", "create", "ci", "--role", "operator", "--project", "acme", "--expires", "2026-12-31")
    monkeypatch.setenv("JOBYARD_TOKEN", made.out.strip())
    assert [each["name"] for each in cli("project", "list", "--json").json["items"]] == ["acme"]
    refused = cli("token", "list")
    assert (refused.status, refused.out) == (1, "")
    monkeypatch.setenv("JOBYARD_TOKEN", admin.headers["Authorization"].removeprefix("Bearer "))
    assert "ci" in cli("token", "list").out
    assert cli("token", "revoke", "ci").out == "Token ci is revoked.\n"
    assert cli("token", "list", "--json").json["items"] == []
    assert "There is no token ci" in cli("token", "revoke", "ci").err


def test_completion_offers_what_the_server_has(
    cli: Cli, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.made("/projects", {"name": "other"})
    for project, name in (("acme", "report"), ("other", "report"), ("other", "clean-up")):
        admin.made(f"/projects/{project}/jobs", {**REPORT, "name": name})
    run = admin.made("/projects/acme/jobs/report/runs")
    assert sorted(complete_jobs("")) == ["acme/report", "clean-up", "other/report"]
    assert complete_jobs("cl") == ["clean-up"]
    assert complete_jobs("other/c") == ["other/clean-up"]
    assert complete_runs("rep") == [run["name"]]
    assert complete_projects("a") == ["acme"]
    monkeypatch.setenv("COMP_WORDS", "jobyard job cl")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_JOBYARD_COMPLETE", "complete_bash")
    assert cli().out == "clean-up\n"


def test_completion_is_silent_where_nothing_answers(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_TOKEN", "wrong")
    assert complete_jobs("") == []
    monkeypatch.setenv("JOBYARD_URL", "http://127.0.0.1:1")
    assert complete_jobs("") == []
    monkeypatch.setenv("JOBYARD_URL", "nonsense")
    assert complete_jobs("") == []


def test_what_is_wrong_is_one_sentence_that_names_the_setting(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> str:
        done = cli("jobs", "--json")
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("jobyard: ")
        assert done.err.count("\n") == 1
        return done.err

    monkeypatch.setenv("JOBYARD_TOKEN", "wrong")
    assert "JOBYARD_TOKEN" in said()
    monkeypatch.delenv("JOBYARD_TOKEN")
    assert "set JOBYARD_TOKEN" in said()
    monkeypatch.setenv("JOBYARD_TOKEN", "naïve")
    answer = said()
    assert "JOBYARD_TOKEN" in answer
    assert "naïve" not in answer
    monkeypatch.setenv("JOBYARD_TOKEN", "any")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("JOBYARD_URL", f"http://127.0.0.1:{port}")
    answer = said()
    assert "JOBYARD_URL" in answer
    assert "`jobyard serve`" in answer
    monkeypatch.setenv("JOBYARD_URL", "ftp://example.com")
    assert "JOBYARD_URL" in said()


def test_another_web_server_is_told_apart(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    url = cli("config", "--json").json["items"]
    (here,) = [item["value"] for item in url if item["name"] == "JOBYARD_URL"]
    monkeypatch.setenv("JOBYARD_URL", f"{here}/static")
    done = cli("jobs")
    assert done.status == 1
    assert "is no Jobyard API: check JOBYARD_URL" in done.err


def test_settings_are_listed_without_secrets(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_ADMIN_TOKEN", "hush, hush, nobody knows")
    done = cli("config", "--json")
    assert "hush" not in done.out
    values = {item["name"]: item["value"] for item in done.json["items"]}
    assert values["JOBYARD_ENGINE"] == "docker"
    assert values["JOBYARD_REGISTRY"] is None
    assert json.dumps(values["JOBYARD_DATA"]) in done.out
