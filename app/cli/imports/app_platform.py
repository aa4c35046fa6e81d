"""From an App Platform specification (`doctl apps spec get`, `.do/app.yaml`) to jobs."""

from __future__ import annotations

import re
from typing import Any

from app.cli.imports.drafts import Draft, Json, Reader, name_of, plan_of
from app.cli.imports.usable import usable_job

TRIGGERS = {"PRE_DEPLOY": "pre-deploy", "POST_DEPLOY": "post-deploy", "FAILED_DEPLOY": "failed-deploy"}
HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org"}
REGISTRIES = {"DOCKER_HUB": "docker.io", "DOCR": "registry.digitalocean.com", "GHCR": "ghcr.io"}
SCOPES = {"RUN_TIME": "run", "BUILD_TIME": "build", "RUN_AND_BUILD_TIME": "both", "UNSET": "both"}
MODES = {"node-js": "node", "python": "python", "go": "go"}
OTHERS = ("services", "workers", "static_sites", "functions", "databases")
OLD_SIZES = {"xxs": 512, "xs": 1024, "s": 2048, "m": 4096, "l": 8192}
SIZE = re.compile(r"(?:apps-[sd]-)?(\d+)vcpu-([\d.]+)gb")
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
SHELL = re.compile(r"&&|\|\||[|;<>$`]")
TIMEOUT, GRACE = 1800, 120  # seconds, where a job says nothing


def import_spec(spec: Any, draft: Draft) -> str:
    """Fill the draft from a specification; returns what the app is called."""
    app = Reader(spec.get("spec", spec) if isinstance(spec, dict) else spec, "app", draft)
    name = name_of(app.take("name"), set(), "app")
    taken: set[str] = set()
    shared = _variables(app.items("envs"), "envs", draft)
    jobs = [_job(each, number, taken, draft) for number, each in enumerate(app.items("jobs"))]
    for job in jobs:
        draft.add("jobs", job)
    if shared and jobs:
        draft.add("secret_groups", {"name": name, "env": shared, "jobs": [job["name"] for job in jobs]})
    if any("deploy_trigger" in job for job in jobs):
        draft.add("apps", {"name": name, "jobs": [job["name"] for job in jobs]})
    for kind in OTHERS:
        for number, each in enumerate(app.items(kind)):
            what = each.get("name", number) if isinstance(each, dict) else number
            draft.remark(f"{kind}.{what}", "has no counterpart: Jobyard runs jobs, and nothing that listens.")
    app.finish()
    return name


def _job(given: Any, number: int, taken: set[str], draft: Draft) -> Json:
    reader = Reader(given, f"jobs.{number}", draft)
    called = reader.take("name")
    name = name_of(called, taken, "job")
    if called and name != called:
        reader.remark("name", f"{called} is called {name} here.")
    job: Json = {"name": name, **_source(reader), **_when(reader)}
    command = reader.take("run_command")
    if command:
        job |= {"command": command, "shell": bool(SHELL.search(command))}
    env = _variables(reader.items("envs"), f"{reader.where}.envs", draft)
    if env:
        job["env"] = env
    job |= _size(reader)
    timeout, grace = reader.take("timeout"), reader.below("termination")
    job["time_limit_seconds"] = TIMEOUT if timeout is None else _seconds(reader, timeout)
    job["grace_period_seconds"] = grace.take("grace_period_seconds", int) or GRACE
    grace.finish()
    reader.finish()
    return usable_job(job, reader.where, draft)


def _when(reader: Reader) -> Json:
    kind = reader.take("kind") or "UNSPECIFIED"
    schedule = reader.below("schedule")
    cron, zone = schedule.take("cron"), schedule.take("time_zone")
    schedule.finish()
    if kind == "SCHEDULED" and cron:
        return {"kind": "cron", "schedule": {"cron": cron, "time_zone": zone or "UTC"}}
    if cron:
        reader.remark("schedule", f"{cron} is left out, as the job is of kind {kind}.")
    if kind == "SCHEDULED":
        reader.remark("schedule", "is missing: the job is started by hand.")
        return {}
    if kind not in TRIGGERS:
        reader.remark("kind", f"{kind} runs after a deployment.")
    return {"deploy_trigger": TRIGGERS.get(kind, "post-deploy")}


def _source(reader: Reader) -> Json:
    """Where the image comes from, and what is built how."""
    build = _build(reader)
    for forge, host in HOSTS.items():
        if reader.has(forge):
            at = reader.below(forge)
            repo, branch, on_push = at.take("repo"), at.take("branch"), at.take("deploy_on_push", bool)
            at.finish()
            return _git(reader, f"https://{host}/{repo}", branch, build, builds=bool(on_push))
    if reader.has("git"):
        at = reader.below("git")
        url, branch = at.take("repo_clone_url"), at.take("branch")
        at.finish()
        return _git(reader, url, branch, build, builds=False)
    if build:
        reader.remark("", "has no repository, so how it is built is left out.")
    if reader.has("image"):
        return _image(reader, reader.below("image"))
    reader.remark("", "has no source: deploy or promote an image to it.")
    return {"source": {"type": "none"}}


def _git(reader: Reader, url: Any, branch: Any, build: Json, *, builds: bool) -> Json:
    reader.remark("", f"{url} needs a webhook and, if it is private, a credential: name it in source.git.")
    source = {"type": "git", "git": {"url": url, "branch": branch or "main"}, "build": build}
    return {"source": source, "ci_enabled": builds}


def _image(reader: Reader, image: Reader) -> Json:
    registry, repository = image.take("registry"), image.take("repository")
    kind, tag, digest = image.take("registry_type"), image.take("tag"), image.take("digest")
    if image.take("registry_credentials") or kind == "DOCR":
        reader.remark("image", "needs a credential of kind registry: name it in source.credential.")
    on_push = image.below("deploy_on_push")
    if on_push.take("enabled", bool):
        reader.remark("image.deploy_on_push", "has no counterpart: a tag is looked up whenever a run starts.")
    image.finish()
    host = REGISTRIES.get(kind or "", "docker.io")
    name = "/".join(part for part in (host, registry, repository) if part)
    return {
        "source": {"type": "image", "image": f"{name}@{digest}" if digest else f"{name}:{tag or 'latest'}"}
    }


def _build(reader: Reader) -> Json:
    build: Json = {}
    dockerfile, folder = reader.take("dockerfile_path"), reader.take("source_dir")
    if dockerfile:
        build |= {"mode": "dockerfile", "dockerfile": "/" + dockerfile.lstrip("/")}
    if folder:
        build["root_directory"] = "/" + folder.strip("/")
    command, slug = reader.take("build_command"), reader.take("environment_slug")
    if command:
        build["build_command"] = command
    if slug in MODES and not dockerfile:
        build["mode"] = MODES[slug]
    elif slug and not dockerfile:
        reader.remark("environment_slug", f"{slug} is left to what the repository is recognised as.")
    return build


def _variables(given: list[Any], where: str, draft: Draft) -> Json:
    env: Json = {}
    for number, each in enumerate(given):
        reader = Reader(each, f"{where}.{number}", draft)
        key, value = reader.take("key"), reader.take("value", (str, int, float))
        is_secret, scope = (
            reader.take("type") == "SECRET",
            SCOPES.get(reader.take("scope") or "UNSET", "both"),
        )
        reader.finish()
        if not key:
            reader.remark("", "has no key: left out.")
        elif is_secret and (value is None or str(value).startswith("EV[")):
            reader.remark("", f"{key} is a secret that only App Platform can open: set it by hand.")
        else:
            text = "" if value is None else str(value)
            if "${" in text:
                reader.remark("", f"{key} has a value that App Platform fills in: it is text here.")
            env[key] = {"value": text, "scope": scope, **({"secret": True} if is_secret else {})}
    return env


def _size(reader: Reader) -> Json:
    slug, count = reader.take("instance_size_slug"), reader.take("instance_count", int)
    size: Json = {} if count is None else {"instances": count}
    if slug is None:
        return size
    found, old = SIZE.fullmatch(slug), OLD_SIZES.get(slug.rpartition("-")[2])
    if found is None and old is None:
        reader.remark("instance_size_slug", f"{slug} is not known: the plan is the usual one.")
        return size
    cpus, memory = (float(found[1]), float(found[2]) * 1024) if found else (0.0, float(old or 0))
    return {**size, "plan": plan_of(memory, cpus)}


def _seconds(reader: Reader, text: str) -> int:
    found = DURATION.fullmatch(text)
    parts = [int(part or 0) for part in found.groups()] if found else [0, 0, 0]
    seconds = parts[0] * 3600 + parts[1] * 60 + parts[2]
    if not seconds:
        reader.remark("timeout", f"{text} is not understood: it is {TIMEOUT} seconds.")
    return seconds or TIMEOUT
