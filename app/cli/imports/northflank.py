"""From a Northflank job, as its API and templates have it, to a job."""

from __future__ import annotations

import re
from typing import Any

from app.cli.imports.drafts import Draft, Json, Reader, name_of, plan_of
from app.cli.imports.usable import usable_job

PLAN = re.compile(r"nf-compute-(\d+)(?:-(\d+))?")
MEMORY_MB = {10: 256, 20: 512, 50: 1024}
CHECKS = {"livenessProbe": "liveness", "startupProbe": "startup"}
TIMES = {
    "initialDelaySeconds": "initial_delay_seconds",
    "periodSeconds": "period_seconds",
    "timeoutSeconds": "timeout_seconds",
    "failureThreshold": "failure_threshold",
    "successThreshold": "success_threshold",
}
WRAPPERS = ("data", "jobs", "spec")
OVERRIDES = {"customCommand": "command", "customEntrypoint": "entrypoint", "customProcess": "process"}
SECRET = re.compile(r"(?i)secret|token|passw|key|credential")
READ_ONLY = (
    "id",
    "appId",
    "projectId",
    "createdAt",
    "jobType",
    "status",
    "servicePlan",
    "cluster",
    "vcsStatus",
)


def import_jobs(given: Any, draft: Draft) -> None:
    """Fill the draft from a job, a list of jobs, or an answer of the API that has either."""
    taken: set[str] = set()
    for number, each in enumerate(_jobs(given)):
        draft.add("jobs", _job(each, number, taken, draft))


def _jobs(given: Any) -> list[Any]:
    while isinstance(given, dict):
        inner = next(
            (given[name] for name in ("data", "jobs", "spec") if isinstance(given.get(name), dict | list)),
            None,
        )
        if inner is None:
            return [given]
        given = inner
    return given if isinstance(given, list) else [given]


def _job(given: Any, number: int, taken: set[str], draft: Draft) -> Json:
    reader = Reader(given, f"job {number + 1}", draft)
    called = reader.take("name")
    name = name_of(called, taken, "job")
    job: Json = {"name": name}
    if called and called != name:
        job["display_name"] = called
    description = reader.take("description")
    if description:
        reader.remark("description", description)
    reader.skip(*READ_ONLY)
    deployment = reader.below("deployment")
    job |= _source(reader, deployment)
    job |= _command(deployment)
    _settings(reader, job)
    env = _variables(reader)
    if env:
        job["env"] = env
    checks = _checks(reader)
    if checks:
        job["health_checks"] = checks
    _plan(reader, job)
    grace = deployment.take("gracePeriodSeconds", int)
    if grace is not None:
        job["grace_period_seconds"] = grace
    for field, switch in (("disabledCI", "ci_enabled"), ("disabledCD", "cd_enabled")):
        disabled = reader.take(field, bool)
        if disabled is not None:
            job[switch] = not disabled
    if reader.take("paused", bool):
        job["paused"] = True
    deployment.finish()
    reader.finish()
    return usable_job(job, reader.where, draft)


def _source(reader: Reader, deployment: Reader) -> Json:
    build = _build(reader)
    vcs = next(
        (at.below(name) for at, name in ((deployment, "vcs"), (reader, "vcsData")) if at.has(name)), None
    )
    if vcs is not None:
        url, branch = vcs.take("projectUrl"), vcs.take("projectBranch")
        vcs.skip("projectType", "vcsLinkId", "accountLogin")
        vcs.finish()
        reader.remark(
            "", f"{url} needs a webhook and, if it is private, a credential: name it in source.git."
        )
        lfs = build.pop("lfs", False)
        git = {"url": url, "branch": branch or "main", **({"lfs": True} if lfs else {})}
        return {"source": {"type": "git", "git": git, "build": build}}
    if build:
        reader.remark("", "has no repository, so how it is built is left out.")
    if deployment.has("external"):
        external = deployment.below("external")
        image, credentials = external.take("imagePath"), external.take("credentials")
        external.finish()
        if credentials:
            reader.remark("", "the image needs a credential of kind registry: name it in source.credential.")
        return {"source": {"type": "image", "image": image}}
    if deployment.has("internal"):
        internal = deployment.below("internal")
        service = internal.take("id")
        internal.skip("branch", "buildSHA", "buildId")
        internal.finish()
        reader.remark("", f"is built by the build service {service}: make it, and name it as the source.")
    else:
        reader.remark("", "has no source: deploy or promote an image to it.")
    return {"source": {"type": "none"}}


def _build(reader: Reader) -> Json:
    build: Json = {}
    settings, configuration = reader.below("buildSettings"), reader.below("buildConfiguration")
    if settings.has("dockerfile"):
        docker = settings.below("dockerfile")
        build["mode"] = "dockerfile"
        build |= _given(docker, {"dockerFilePath": "dockerfile", "dockerWorkDir": "root_directory"})
        docker.skip("buildEngine", "useCache", "useInternalCache", "buildkit")
        docker.finish()
    if settings.has("buildpack"):
        pack = settings.below("buildpack")
        build |= _given(pack, {"buildContext": "root_directory"})
        pack.finish()
    rules = [each for each in configuration.items("pathIgnoreRules") if isinstance(each, str)]
    if rules:
        allow = configuration.take("isAllowList", bool)
        build |= {"paths": rules, "paths_mode": "allow" if allow else "ignore"}
    configuration.skip("isAllowList")
    flags, on = configuration.items("ciIgnoreFlags"), configuration.take("ciIgnoreFlagsEnabled", bool)
    if on is False:
        build["commit_flags"] = []
    elif flags:
        build["commit_flags"] = [each for each in flags if isinstance(each, str)]
    build |= _given(configuration, {"dockerfileTarget": "target"})
    if configuration.take("enableGitLfs", bool):
        build["lfs"] = True
    settings.finish()
    configuration.finish()
    return build


def _given(reader: Reader, names: dict[str, str]) -> Json:
    return {ours: value for theirs, ours in names.items() if (value := reader.take(theirs)) is not None}


def _command(deployment: Reader) -> Json:
    """What is run instead of what the image says."""
    found: Json = {}
    for kind in ("docker", "buildpack"):
        at = deployment.below(kind)
        how = at.take("configType") or "default"
        for field, ours in OVERRIDES.items():
            value = at.take(field)
            if value and field[len("custom") :].lower() in how.lower():
                found[ours] = value
            elif value:
                at.remark(field, f"{value} does not count, as configType is {how}: left out.")
        at.finish()
    found |= _given(deployment, {"cmdOverride": "command", "entrypointOverride": "entrypoint"})
    return found


def _settings(reader: Reader, job: Json) -> None:
    """What is below `settings`, or as older answers have it beside the rest."""
    settings = reader.below("settings")
    cron = settings.below("cron")
    names = {"backoffLimit": "retry_limit", "activeDeadlineSeconds": "time_limit_seconds"}
    for at in (settings, reader):
        for theirs, ours in names.items():
            value = at.take(theirs, int)
            if value is not None:
                job[ours] = value
        on_change = at.take("runOnSourceChange")
        if on_change:
            job["run_on_image_change"] = on_change
    expression: str | None = None
    schedule: Json = {}
    for at in (reader, cron):
        expression = at.take("schedule") or expression
        suspended, policy = at.take("suspended", bool), at.take("concurrencyPolicy")
        schedule |= {} if suspended is None else {"active": not suspended}
        schedule |= {} if policy is None else {"concurrency_policy": policy.lower()}
    if expression:
        job |= {"kind": "cron", "schedule": {"cron": expression, "time_zone": "UTC", **schedule}}
    elif schedule:
        reader.remark("settings.cron", "has no schedule: the job is started by hand.")
    cron.finish()
    settings.finish()


def _variables(reader: Reader) -> Json:
    env: Json = {}
    for field, scope in (("runtimeEnvironment", "run"), ("buildArguments", "build")):
        for name, value in (reader.take(field, dict) or {}).items():
            text = value if isinstance(value, str) else str(value)
            known = env.get(name)
            if known is not None and known["value"] != text:
                reader.remark(f"{field}.{name}", "is another value than at run time, which counts.")
            elif known is not None:
                known["scope"] = "both"
            else:
                secret = {"secret": True} if SECRET.search(name) and text else {}
                env[name] = {"value": text, "scope": scope, **secret}
    return env


def _checks(reader: Reader) -> list[Json]:
    checks = []
    for number, each in enumerate(reader.items("healthChecks")):
        at = Reader(each, f"{reader.where}.healthChecks.{number}", reader.draft)
        type_, protocol = at.take("type"), (at.take("protocol") or "").lower()
        times = {ours: value for theirs, ours in TIMES.items() if (value := at.take(theirs, int))}
        check: Json = {"protocol": protocol, **times}
        for field in {"http": ("path", "port"), "tcp": ("port",), "cmd": ("cmd",)}.get(protocol, ()):
            check[field] = at.take(field, (str, int))
        at.finish()
        if type_ in CHECKS:
            checks.append({**check, "type": CHECKS[type_]})
        else:
            at.remark("type", f"{type_} has no counterpart: nothing is routed to a job.")
    return checks


def _plan(reader: Reader, job: Json) -> None:
    billing = reader.below("billing")
    plan = billing.take("deploymentPlan")
    found = PLAN.fullmatch(plan or "")
    if found:
        cpus = int(found[1]) / 100
        memory = int(found[2]) * 1024 if found[2] else MEMORY_MB.get(int(found[1]), int(cpus * 2048))
        job["plan"] = plan_of(memory, cpus)
    elif plan:
        billing.remark("deploymentPlan", f"{plan} is not known: the plan is the usual one.")
    billing.finish()
