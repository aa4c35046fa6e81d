"""Configuration as code through the API: applied whole or not at all, pruned when confirmed, exported."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from app.domain.host_keys import published_for
from app.web.declared.documents import KINDS
from app.web.declared.notifications import SIGNED_UNSEEN
from app.web.schemas.job import BuildForm, GitForm
from app.web.schemas.project import ProjectPatch
from tests.support.api import Caller
from tests.support.github import PEM

SECRET = "a long secret of hooks"
EVERYTHING: dict[str, Any] = {
    "project": "shop",
    "settings": {
        "webhook_secret": SECRET,
        "public": True,
        "limits": {"runs_at_once": 4},
        "hardening": {"non_root": True},
    },
    "pipelines": [
        {
            "name": "main",
            "stages": [
                {"name": "staging", "components": ["web", "links"]},
                {"name": "production", "components": ["links-live"]},
            ],
        }
    ],
    "apps": [{"name": "web", "jobs": ["report", "migrate"], "hooks": ["report"]}],
    "flows": [
        {
            "name": "release",
            "nodes": [
                {"name": "image", "type": "build", "job": "report"},
                {
                    "parallel": [
                        {"name": "a", "type": "run", "job": "links", "overrides": {"env": {"DRY": "yes"}}},
                        {"name": "b", "type": "approval", "message": "Well?"},
                    ]
                },
                {
                    "name": "told",
                    "type": "message",
                    "message": "Done.",
                    "url": "https://chat.example.com/hook",
                },
            ],
            "on_push": "report",
        }
    ],
    "jobs": [
        {
            "name": "report",
            "display_name": "The report: daily, “on”",
            "source": {"type": "build_service", "build_service": "images"},
            "kind": "cron",
            "schedule": {"cron": "*/5 * * * *", "time_zone": "Europe/Berlin"},
            "env": {"DAY": "2026-01-31", "ON": "yes", "TOKEN": {"value": "hidden text", "secret": True}},
            "command": ["python", "-c", "print(1)\nprint(2)"],
            "health_checks": [{"type": "liveness", "protocol": "cmd", "cmd": "true"}],
        },
        {
            "name": "migrate",
            "deploy_trigger": "pre-deploy",
            "source": {"type": "build_service", "build_service": "images"},
        },
        {
            "name": "links",
            "source": {
                "type": "git",
                "git": {"url": "https://github.com/acme/links", "webhook_secret": SECRET},
            },
        },
        {
            "name": "links-live",
            "source": {"type": "image", "image": "registry.example.com/a:1", "credential": "registry"},
        },
    ],
    "secret_groups": [{"name": "mail", "env": {"HOST": "mail.example.com"}, "jobs": ["report"]}],
    "build_services": [
        {
            "name": "images",
            "git": {"url": "https://github.com/acme/images", "credential": "github"},
            "build": {"paths": ["docs/"]},
        }
    ],
    "github_apps": [{"name": "octo", "app_id": 4711, "private_key": PEM}],
    "notification_targets": [
        {
            "name": "ops",
            "kind": "webhook",
            "address": "https://ops.example.com/hook",
            "on": ["failure", "absence"],
            "jobs": ["report"],
            "absence_hours": 26,
        }
    ],
    "credentials": [
        {
            "name": "github",
            "kind": "git",
            "host": "github.com",
            "username": "ci",
            "secret": "hidden text",
            "host_keys": [str(key) for key in published_for("gitlab.com")],
        },
        {
            "name": "registry",
            "kind": "registry",
            "host": "registry.example.com",
            "username": "ci",
            "secret": "hidden text",
        },
    ],
}
THINGS = 14


def apply(admin: Caller, *documents: Any, **more: Any) -> Any:
    return admin.made("/apply", {"documents": list(documents), **more})


def refused(admin: Caller, *documents: Any, **more: Any) -> dict[str, str]:
    """What is wrong, by its place; nothing was applied."""
    before = admin.get("/export").text
    answer = admin.post("/apply", json={"documents": list(documents), **more})
    assert answer.status_code == 422, answer.text
    assert admin.get("/export").text == before
    return {each["field"]: each["message"] for each in answer.json()["errors"]}


def whats(done: Any) -> dict[str, str]:
    return {each["label"]: each["what"] for each in done["items"]}


def exported(admin: Caller, project: str = "shop") -> Any:
    return yaml.safe_load(admin.get("/export", params={"project": project}).text)


def with_secrets(exported: Any) -> Any:
    """What the comment of an export asks for."""
    exported["settings"]["webhook_secret"] = SECRET
    for credential in exported["credentials"]:
        credential["secret"] = "hidden text"
    exported["github_apps"][0]["private_key"] = PEM
    exported["notification_targets"][0]["address"] = "https://ops.example.com/hook"
    exported["jobs"][0]["env"]["TOKEN"]["value"] = "hidden text"
    exported["flows"][0]["nodes"][2]["url"] = "https://chat.example.com/hook"
    return exported


def test_a_project_is_made_of_one_file_whatever_its_order(admin: Caller) -> None:
    rehearsed = apply(admin, EVERYTHING, dry_run=True)
    assert admin.get("/projects/shop").status_code == 404
    done = apply(admin, EVERYTHING)
    assert whats(done) == whats(rehearsed)
    assert set(whats(done).values()) == {"created"}
    assert (done["sentence"], len(done["items"])) == (f"{THINGS} created, 0 unchanged.", THINGS)
    assert rehearsed["sentence"] == f"It would be {THINGS} created, 0 unchanged; nothing was done."
    [ops] = [each["warnings"] for each in done["items"] if each["name"] == "ops"]
    assert ops == [f"{SIGNED_UNSEEN}."]
    report = admin.got("/projects/shop/jobs/report")
    assert (report["env"]["DAY"], report["schedule"]["time_zone"]) == ("2026-01-31", "Europe/Berlin")
    assert [stage["name"] for stage in admin.got("/projects/shop/pipelines/main")["stages"]] == [
        "staging",
        "production",
    ]


def test_what_is_exported_is_taken_again_and_changes_nothing(admin: Caller) -> None:
    apply(admin, EVERYTHING)
    text = admin.get("/export", params={"project": "shop"}).text
    assert "hidden" not in text
    assert SECRET not in text
    for place in (
        "credentials.github.secret",
        "jobs.report.env.TOKEN",
        "flows.release.nodes.told.url",
        "notification_targets.ops.address",
    ):
        assert f"#   {place}\n" in text
    assert text.startswith("# Secrets are not exported.")
    assert set(whats(apply(admin, exported(admin), prune=True)).values()) == {"unchanged"}
    both = list(yaml.safe_load_all(admin.get("/export").text))
    assert [each["project"] for each in both] == ["acme", "shop"]


def test_every_field_that_a_thing_can_be_given_is_exported(admin: Caller) -> None:
    """But for secrets, and for what is only asked for as a thing is made."""
    apply(admin, EVERYTHING)
    found = exported(admin)
    for kind in KINDS:
        fields = {field.alias or name for name, field in kind.form.model_fields.items()}
        assert fields - set(found[kind.section][0]) == set(), kind.section
    assert set(ProjectPatch.model_fields) - set(found["settings"]) == {"webhook_secret"}
    git = found["jobs"][2]["source"]["git"]
    assert set(GitForm.model_fields) - set(git) == {"webhook_secret"}
    assert set(BuildForm.model_fields) == set(found["jobs"][2]["source"]["build"])


def test_a_fresh_server_takes_it_once_secrets_are_set(admin: Caller) -> None:
    apply(admin, EVERYTHING)
    wanted = exported(admin)
    moved = {**exported(admin), "project": "elsewhere"}
    wrong = refused(admin, moved)
    assert wrong["documents.0.credentials.0.secret"] == "credential elsewhere/github: secret is missing."
    assert "env.TOKEN.value is missing" in wrong["documents.0.jobs.0.env.TOKEN.value"]
    apply(admin, with_secrets(moved))
    assert {**exported(admin, "elsewhere"), "project": "shop"} == wanted
    again = {**wanted, "project": "elsewhere"}
    assert set(whats(apply(admin, again, prune=True)).values()) == {"unchanged"}


def test_host_keys_are_of_git_alone(admin: Caller) -> None:
    registry = {**EVERYTHING["credentials"][1], "host_keys": EVERYTHING["credentials"][0]["host_keys"]}
    wrong = refused(admin, {"project": "acme", "credentials": [registry]})
    assert wrong == {
        "documents.0.credentials.0.host_keys": "credential acme/registry: host_keys can be set for a credential of kind"
        " git alone."
    }


def test_another_secret_is_told_without_its_value(admin: Caller) -> None:
    apply(admin, EVERYTHING)
    done = apply(admin, with_secrets(exported(admin)))
    assert "hidden" not in str(done)
    [github] = [each for each in done["items"] if each["label"] == "credential shop/github"]
    assert github["fields"] == [{"field": "secret", "before": "a secret", "after": "another secret"}]


def test_everything_that_is_wrong_is_said_at_its_place_and_nothing_applied(admin: Caller) -> None:
    bad_job = {"name": "bad", "retry_limit": -1, "colour": "red", "scheduel": {}}
    wrong = refused(
        admin,
        {
            "project": "acme",
            "jobs": [{"name": "good"}, bad_job, {"retry_limit": 1}, "text"],
            "apps": [{"name": "web", "jobs": ["bad"]}, {"name": "web", "jobs": ["good"]}],
            "pipelnes": [],
            "flows": 7,
        },
        {"project": "nowhere", "jobs": [{"name": "late"}]},
        {"name": "loose"},
    )
    assert wrong == {
        "documents.0.jobs.1.retry_limit": "job acme/bad: retry_limit must be at least 0, not -1.",
        "documents.0.jobs.1.colour": "job acme/bad: There is no field colour.",
        "documents.0.jobs.1.scheduel": "job acme/bad: There is no field scheduel: did you mean schedule?",
        "documents.0.jobs.2": "job number 3 in the file needs its name as text, and so is its project if it is given.",
        "documents.0.jobs.3": "job number 4 in the file needs its name as text, and so is its project if it is given.",
        "documents.0.apps.1": "app acme/web is declared twice.",
        "documents.0.pipelnes": "There is no section pipelnes: did you mean pipelines?",
        "documents.0.flows": "flows must be a list.",
        "documents.1.jobs.0": "job nowhere/late: There is no project nowhere, or not for this token.",
        "documents.2": "job loose needs its project: name it by project, or --project.",
    }


def test_an_app_isn_t_blamed_for_a_job_that_is_wrong_itself(admin: Caller) -> None:
    wrong = refused(
        admin,
        {
            "project": "acme",
            "jobs": [{"name": "bad", "retry_limit": -1}],
            "apps": [{"name": "web", "jobs": ["bad"]}],
        },
    )
    assert list(wrong) == ["documents.0.jobs.0.retry_limit"]
    missing = refused(admin, {"project": "acme", "apps": [{"name": "web", "jobs": ["bad"]}]})
    assert missing["documents.0.apps.0.jobs"].startswith("app acme/web: jobs must name jobs of project acme")


@pytest.mark.parametrize(
    ("documents", "place"),
    [
        ([{"settings": {}}], "documents.0.settings"),
        ([{"project": "acme", "settings": [1]}], "documents.0.settings"),
        ([{"project": "acme", "settings": {"colour": 1}}], "documents.0.settings.colour"),
        ([{"project": "acme", "settings": {"limits": {"jobs": -1}}}], "documents.0.settings.limits.jobs"),
    ],
)
def test_wrong_settings_of_a_project_are_said_at_their_place(
    admin: Caller, documents: list[Any], place: str
) -> None:
    assert list(refused(admin, *documents)) == [place]


def test_a_component_moves_between_pipelines_in_any_order(admin: Caller) -> None:
    def pipelines(first: list[str], second: list[str]) -> Any:
        return {
            "project": "acme",
            "pipelines": [
                {"name": "one", "stages": [{"name": "s", "components": first}]},
                {"name": "two", "stages": [{"name": "s", "components": second}]},
            ],
        }

    apply(admin, {"project": "acme", "jobs": [{"name": "a"}, {"name": "b"}]}, pipelines(["a"], ["b"]))
    assert set(whats(apply(admin, pipelines([], ["a", "b"]))).values()) == {"changed"}
    assert set(whats(apply(admin, pipelines(["b"], ["a"]))).values()) == {"changed"}


def test_pruning_deletes_what_its_sections_leave_out_and_asks_for_it_by_name(admin: Caller) -> None:
    apply(admin, EVERYTHING)
    wanted = {"project": "shop", "pipelines": [], "apps": [], "jobs": [{"name": "report"}, {"name": "links"}]}
    before = admin.get("/export").text
    plan = apply(admin, wanted, prune=True, dry_run=True)
    gone = [each["label"] for each in plan["items"] if each["what"] == "deleted"]
    assert sorted(gone) == ["app shop/web", "job shop/links-live", "job shop/migrate", "pipeline shop/main"]
    answer = admin.post("/apply", json={"documents": [wanted], "prune": True, "confirm": gone[1:]})
    assert answer.status_code == 409
    assert "confirm must name just that, and nothing was applied." in answer.json()["detail"]
    assert admin.get("/export").text == before
    apply(admin, wanted, prune=True, confirm=gone)
    left = exported(admin)
    assert [each["name"] for each in left["jobs"]] == ["report", "links"]
    assert [each["name"] for each in left["flows"]] == ["release"]
    assert "apps" not in left


def test_what_can_t_be_deleted_keeps_everything_as_it_is(admin: Caller) -> None:
    jobs = [{"name": "busy", "source": {"type": "image", "image": "busybox"}}, {"name": "idle"}]
    apply(admin, {"project": "acme", "jobs": jobs})
    run = admin.made("/projects/acme/jobs/busy/runs")
    wrong = refused(
        admin,
        {"project": "acme", "jobs": [{"name": "fresh"}]},
        prune=True,
        confirm=["job acme/busy", "job acme/idle"],
    )
    [sentence] = wrong.values()
    assert (
        sentence == f"job acme/busy: Job busy has runs that are not over ({run['name']}): cancel them first."
    )


def test_who_has_one_project_applies_there_and_sets_no_limits(admin: Caller) -> None:
    admin.made("/projects", {"name": "other"})
    theirs = admin.with_token("admin", "other")
    assert whats(apply(theirs, {"project": "other", "jobs": [{"name": "a"}]})) == {"job other/a": "created"}
    unlimited = {"project": "other", "settings": {"limits": {"jobs": None}, "public": True}}
    assert whats(apply(theirs, unlimited)) == {"project other": "changed"}
    for project in ("other", "fresh"):
        limited = {"project": project, "settings": {"limits": {"jobs": 5}}}
        assert theirs.post("/apply", json={"documents": [limited]}).status_code == 403
    assert next(iter(yaml.safe_load_all(theirs.get("/export").text)))["project"] == "other"
    assert theirs.get("/export", params={"project": "acme"}).status_code == 404


def test_the_audit_log_names_what_was_made_and_changed(admin: Caller) -> None:
    apply(admin, {"project": "acme", "jobs": [{"name": "a"}, {"name": "b"}]})
    apply(admin, {"project": "acme", "jobs": [{"name": "a"}]})
    apply(admin, {"project": "acme", "jobs": [{"name": "a", "retry_limit": 2}]}, dry_run=True)
    [entry] = admin.got("/audit", action="project.apply")["items"]
    assert entry["about"]["project"] == "acme"
    assert entry["changes"]["created"]["to"] == ["job acme/a", "job acme/b"]


def test_a_job_whose_pushes_nobody_can_verify_is_warned_of(admin: Caller) -> None:
    source = {"type": "git", "git": {"url": "https://github.com/acme/links"}}
    [made] = apply(admin, {"project": "acme", "jobs": [{"name": "a", "source": source}]})["items"]
    [warning] = made["warnings"]
    assert warning == (
        "Pushes can't be verified: set source.git.webhook_secret, or the project's webhook_secret, "
        "and give the same to the repository's webhook."
    )
