"""What other platforms' jobs become here: files that `apply` takes, with a remark for everything that doesn't fit."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.cli.imports.app_platform import import_spec
from app.cli.imports.drafts import Draft
from app.cli.imports.northflank import import_jobs
from app.web.declared.checking import faults_of
from app.web.declared.texts import read_text

SPEC: dict[str, Any] = {
    "name": "Shop_App",
    "region": "fra",
    "envs": [{"key": "LEVEL", "value": "info", "scope": "RUN_TIME"}],
    "services": [{"name": "web", "http_port": 8080}],
    "databases": [{"name": "db", "engine": "PG"}],
    "jobs": [
        {
            "name": "nightly",
            "kind": "SCHEDULED",
            "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"},
            "github": {"repo": "acme/shop", "branch": "main", "deploy_on_push": True},
            "dockerfile_path": "docker/Dockerfile",
            "source_dir": "jobs",
            "run_command": "python report.py && echo done",
            "envs": [
                {"key": "MODE", "value": "daily"},
                {"key": "TOKEN", "type": "SECRET", "value": "EV[1:abc:def]"},
                {"key": "KEY", "type": "SECRET", "value": "a hidden text", "scope": "BUILD_TIME"},
                {"key": "URL", "value": "${db.DATABASE_URL}"},
            ],
            "instance_size_slug": "apps-s-1vcpu-0.5gb",
            "instance_count": 2,
            "timeout": "1h30m",
            "termination": {"grace_period_seconds": 60, "drain_seconds": 5},
            "alerts": [{"rule": "CPU_UTILIZATION"}],
            "log_destinations": [{"name": "logs", "papertrail": {"endpoint": "hidden.example.com:1"}}],
        },
        {
            "name": "migrate",
            "kind": "PRE_DEPLOY",
            "gitlab": {"repo": "acme/shop", "branch": "main"},
            "environment_slug": "python",
            "build_command": "make",
        },
        {
            "name": "warm",
            "kind": "POST_DEPLOY",
            "image": {"registry_type": "GHCR", "registry": "acme", "repository": "w"},
        },
        {
            "name": "sorry",
            "kind": "FAILED_DEPLOY",
            "image": {"registry_type": "DOCR", "repository": "s", "tag": "1"},
        },
        {"name": "plain", "git": {"repo_clone_url": "https://example.com/x.git", "branch": "dev"}},
    ],
}
NORTHFLANK: dict[str, Any] = {
    "name": "Nightly Report",
    "description": "What happened yesterday",
    "tags": ["reports"],
    "billing": {
        "deploymentPlan": "nf-compute-100-2",
        "buildPlan": "nf-compute-400-16",
        "gpu": {"enabled": False},
    },
    "settings": {
        "backoffLimit": 2,
        "activeDeadlineSeconds": 480,
        "runOnSourceChange": "cd-promote",
        "cron": {"schedule": "0 21 * * 0", "suspended": True, "concurrencyPolicy": "Forbid"},
    },
    "deployment": {
        "vcs": {
            "projectUrl": "https://github.com/acme/report",
            "projectType": "github",
            "projectBranch": "main",
        },
        "docker": {
            "configType": "customCommand",
            "customCommand": "python report.py",
            "customEntrypoint": "sh",
        },
        "gracePeriodSeconds": 45,
        "storage": {"shmSize": 128},
    },
    "buildSettings": {
        "dockerfile": {"dockerFilePath": "/Dockerfile", "dockerWorkDir": "/", "buildEngine": "kaniko"}
    },
    "buildConfiguration": {"pathIgnoreRules": ["docs/"], "isAllowList": True, "ciIgnoreFlags": ["[skip nf]"]},
    "runtimeEnvironment": {"MODE": "daily", "API_TOKEN": "a hidden text", "not-a-name": "x"},
    "buildArguments": {"MODE": "daily", "LEVEL": "1"},
    "runtimeFiles": {"/etc/app.conf": {"data": "aGlkZGVu", "encoding": "utf-8"}},
    "disabledCI": True,
    "healthChecks": [
        {"type": "livenessProbe", "protocol": "CMD", "cmd": "true", "periodSeconds": 10},
        {"type": "readinessProbe", "protocol": "TCP", "port": 80},
    ],
    "infrastructure": {"architecture": "arm"},
}


def written(draft: Draft, name: str = "acme") -> tuple[Any, str]:
    """What a file of the draft says, which is checked to be a good one, and its comments."""
    text = draft.written(name, makes_it=True)
    [document] = read_text(text, "imported").documents
    assert faults_of([document]) == []
    return document, "\n".join(line for line in text.splitlines() if line.startswith("# "))


def test_an_app_platform_spec_becomes_jobs_an_app_and_a_secret_group() -> None:
    draft = Draft()
    assert import_spec({"spec": SPEC}, draft) == "shop-app"
    document, remarks = written(draft)
    nightly, migrate, warm, sorry, plain = document["jobs"]
    assert nightly == {
        "name": "nightly",
        "source": {
            "type": "git",
            "git": {"url": "https://github.com/acme/shop", "branch": "main"},
            "build": {"mode": "dockerfile", "dockerfile": "/docker/Dockerfile", "root_directory": "/jobs"},
        },
        "ci_enabled": True,
        "kind": "cron",
        "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"},
        "command": "python report.py && echo done",
        "shell": True,
        "env": {
            "MODE": {"value": "daily", "scope": "both"},
            "KEY": {"value": "a hidden text", "scope": "build", "secret": True},
            "URL": {"value": "${db.DATABASE_URL}", "scope": "both"},
        },
        "instances": 2,
        "plan": "medium",
        "time_limit_seconds": 5400,
        "grace_period_seconds": 60,
    }
    assert migrate["deploy_trigger"] == "pre-deploy"
    assert migrate["source"]["build"] == {"build_command": "make", "mode": "python"}
    assert (migrate["time_limit_seconds"], migrate["grace_period_seconds"]) == (1800, 120)
    assert warm["source"]["image"] == "ghcr.io/acme/w:latest"
    assert sorry["source"]["image"] == "registry.digitalocean.com/s:1"
    assert (sorry["deploy_trigger"], plain["deploy_trigger"]) == ("failed-deploy", "post-deploy")
    assert (plain["ci_enabled"], plain["source"]["git"]["branch"]) == (False, "dev")
    names = ["nightly", "migrate", "warm", "sorry", "plain"]
    assert document["apps"] == [{"name": "shop-app", "jobs": names}]
    [group] = document["secret_groups"]
    assert (group["env"], group["jobs"]) == ({"LEVEL": {"value": "info", "scope": "run"}}, names)
    for said in (
        "jobs.0.envs.1: TOKEN is a secret that only App Platform can open: set it by hand.",
        "jobs.0.envs.3: URL has a value that App Platform fills in: it is text here.",
        "jobs.0.termination.drain_seconds: has no counterpart: 5",
        "jobs.0.alerts: has no counterpart: [{rule: CPU_UTILIZATION}]",
        "jobs.0.log_destinations: has no counterpart",
        "jobs.3.image: needs a credential of kind registry",
        "jobs.4.kind: UNSPECIFIED runs after a deployment.",
        "services.web: has no counterpart: Jobyard runs jobs, and nothing that listens.",
        "databases.db: has no counterpart",
        "app.region: has no counterpart: fra",
    ):
        assert said in remarks
    assert "hidden text" not in remarks


def test_a_northflank_job_becomes_a_job() -> None:
    draft = Draft()
    import_jobs({"data": NORTHFLANK}, draft)
    document, remarks = written(draft)
    assert document["jobs"] == [
        {
            "name": "nightly-report",
            "display_name": "Nightly Report",
            "source": {
                "type": "git",
                "git": {"url": "https://github.com/acme/report", "branch": "main"},
                "build": {
                    "mode": "dockerfile",
                    "dockerfile": "/Dockerfile",
                    "root_directory": "/",
                    "paths": ["docs/"],
                    "paths_mode": "allow",
                    "commit_flags": ["[skip nf]"],
                },
            },
            "command": "python report.py",
            "retry_limit": 2,
            "time_limit_seconds": 480,
            "run_on_image_change": "cd-promote",
            "kind": "cron",
            "schedule": {
                "cron": "0 21 * * 0",
                "time_zone": "UTC",
                "active": False,
                "concurrency_policy": "forbid",
            },
            "env": {
                "MODE": {"value": "daily", "scope": "both"},
                "API_TOKEN": {"value": "a hidden text", "scope": "run", "secret": True},
                "LEVEL": {"value": "1", "scope": "build"},
            },
            "health_checks": [{"protocol": "cmd", "period_seconds": 10, "cmd": "true", "type": "liveness"}],
            "plan": "large",
            "grace_period_seconds": 45,
            "ci_enabled": False,
        }
    ]
    for said in (
        "job 1.deployment.docker.customEntrypoint: sh does not count, as configType is customCommand: left out.",
        "job 1.deployment.storage: has no counterpart: {shmSize: 128}",
        "job 1: env.not-a-name must be letters, digits and underscores",
        "job 1.healthChecks.1.type: readinessProbe has no counterpart: nothing is routed to a job.",
        "job 1.runtimeFiles: has no counterpart: ***",
        "job 1.infrastructure: has no counterpart: {architecture: arm}",
        "job 1.tags: has no counterpart: [reports]",
        "job 1.description: What happened yesterday",
        "job 1.billing.buildPlan: has no counterpart: nf-compute-400-16",
    ):
        assert said in remarks
    assert "hidden" not in remarks


def test_northflank_s_other_sources_and_older_fields_are_known() -> None:
    older = {"name": "a", "backoffLimit": 1, "schedule": "@daily", "concurrencyPolicy": "Replace"}
    external = {"name": "b", "deployment": {"external": {"imagePath": "acme/tool:1", "credentials": "mine"}}}
    internal = {"name": "B", "deployment": {"internal": {"id": "images", "buildSHA": "latest"}}}
    draft = Draft()
    import_jobs([older, external, internal], draft)
    document, remarks = written(draft)
    first, second, third = document["jobs"]
    assert (first["retry_limit"], first["schedule"]["concurrency_policy"]) == (1, "replace")
    assert second["source"] == {"type": "image", "image": "acme/tool:1"}
    assert (third["name"], third["source"]) == ("b-2", {"type": "none"})
    assert "is built by the build service images: make it, and name it as the source." in remarks
    assert "the image needs a credential of kind registry" in remarks


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def likely(example: Any) -> st.SearchStrategy[Any]:
    """Something like the example: with fields left out, of another kind, or beside unknown ones."""
    match example:
        case dict():
            fields = {name: likely(value) for name, value in example.items()}
            return st.fixed_dictionaries({}, optional=fields) | VALUES
        case list():
            return st.lists(st.one_of([likely(each) for each in example]), max_size=4) | VALUES
        case _:
            return st.just(example) | VALUES


@given(likely(SPEC))
def test_whatever_a_spec_holds_apply_takes_what_comes_of_it(spec: Any) -> None:
    draft = Draft()
    import_spec(spec, draft)
    written(draft)


@given(likely([NORTHFLANK]))
def test_whatever_a_northflank_job_holds_apply_takes_what_comes_of_it(jobs: Any) -> None:
    draft = Draft()
    import_jobs(jobs, draft)
    written(draft)


UNKNOWN = st.sampled_from(["zone", "colour", "flavour", "mood"])


@given(st.dictionaries(UNKNOWN, st.integers(1, 9), min_size=1), st.sampled_from(["top", "job", "below"]))
def test_no_unknown_field_is_dropped_in_silence(unknown: dict[str, int], where: str) -> None:
    spec, job = dict(SPEC), dict(SPEC["jobs"][0])
    target = {"top": spec, "job": job}.get(where, dict(job["schedule"]))
    target |= unknown
    if where == "below":
        job["schedule"] = target
    spec["jobs"] = [job]
    draft, other = Draft(), Draft()
    import_spec(spec, draft)
    import_jobs({**NORTHFLANK, **unknown}, other)
    for name, value in unknown.items():
        assert any(f".{name}: has no counterpart: {value}" in remark for remark in draft.remarks)
        assert f"job 1.{name}: has no counterpart: {value}" in other.remarks
