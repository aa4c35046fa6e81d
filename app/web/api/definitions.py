"""Between the job form and what is stored: secrets are sealed on the way in and never come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.commands.image_ownership import require_usable
from app.commands.image_policy import require_usable_arguments, require_usable_names
from app.commands.remote_access import without_host
from app.domain.errors import InvalidValue, JobyardError, require_consistent
from app.domain.events import repo_key
from app.domain.hosts import git_host, may_be_sent, registry_host
from app.domain.job.records import Job, Source
from app.domain.redaction import MIN_LENGTH, is_masked
from app.runtime.ports import ENV_PURPOSE, WEBHOOK_PURPOSE, Vault
from app.store import credentials, jobs
from app.store.database import Tx
from app.store.jobs import SourceFields
from app.store.projects import Project
from app.web.reading import read_value
from app.web.schemas.job import READ_ONLY, BuildForm, EnvForm, GitForm, JobForm
from app.web.schemas.run import shown_env
from app.web.server_context import ServerContext

OWN_FIELDS = {
    "git": ("git", "build"),
    "build_service": ("build_service",),  # its branch is the service's
    "image": ("image", "credential"),
    "none": (),
}
NOTHING_TO_WRAP = (
    "is missing: shell wraps a command or a process, not what the image runs; or leave shell out"
)
ONLY_OF_BUILDS = "is only for images that Jobyard builds: give a command"
NEEDED = {"git": "git", "build_service": "build_service", "image": "image"}


def check(form: JobForm) -> JobForm:
    """The form again. Raises Contradictions, which name every field that contradicts another."""
    require_consistent(_contradictions(form))
    return form


def _contradictions(form: JobForm) -> Iterator[tuple[str, str]]:
    yield from _of_source(form)
    if form.builds_in_flight != "all" and form.source.type != "git":
        has_service = form.source.type == "build_service"
        where = "set it on the build service" if has_service else "nothing is built for this job"
        yield "builds_in_flight", f"is only for a source of type git: {where}"
    if form.kind == "cron" and form.schedule is None:
        yield "schedule", 'is missing: a job of kind cron needs one, such as {"cron": "0 6 * * *"}'
    if form.kind == "manual" and form.schedule is not None:
        yield "schedule", "is only for jobs of kind cron: leave it out, or set kind to cron"
    if form.kind == "cron" and form.deploy_trigger is not None:
        yield "deploy_trigger", "is only for jobs of kind manual: one of kind cron starts by its schedule"
    if form.command is not None and form.process is not None:
        yield "process", "can't be set together with command: give one of them"
    if form.shell and form.command is None and form.process is None:
        yield "command", NOTHING_TO_WRAP
    yield from _of_health_checks(form)


def _of_source(form: JobForm) -> Iterator[tuple[str, str]]:
    source = form.source
    own = OWN_FIELDS[source.type]
    needed = NEEDED.get(source.type)
    if needed is not None and getattr(source, needed) is None:
        yield f"source.{needed}", f"is missing: a source of type {source.type} needs it"
    allowed = (*own, "branch") if source.type == "build_service" else own
    for name in ("git", "build", "build_service", "branch", "image", "credential"):
        if name not in allowed and getattr(source, name) is not None:
            yield f"source.{name}", f"is not for a source of type {source.type}: leave it out"
    if source.build is not None:
        yield from check_build(source.build, "source.build")
    if source.type == "build_service":
        if not form.ci_enabled:
            yield "ci_enabled", "is not for a source of type build_service: set it on the build service"
        for name, entry in form.env.items():
            if entry.scope != "run":
                yield (
                    f"env.{name}.scope",
                    "must be run for a source of type build_service, whose image other jobs share",
                )
    if source.type != "image":
        return
    if form.run_on_image_change == "always":
        yield "run_on_image_change", "can't be always for a source of type image: use never or cd-promote"
    if form.process is not None:
        yield "process", ONLY_OF_BUILDS
    for name, entry in form.env.items():
        if entry.scope != "run":
            yield f"env.{name}.scope", "must be run for a source of type image, since nothing is built"


def check_build(build: BuildForm, field: str) -> Iterator[tuple[str, str]]:
    """What contradicts what in build settings."""
    for name in ("install_command", "build_command"):
        if build.mode == "dockerfile" and getattr(build, name) is not None:
            yield f"{field}.{name}", "is only for mode auto: a Dockerfile says itself how to build"


def _of_health_checks(form: JobForm) -> Iterator[tuple[str, str]]:
    seen = set()
    for number, each in enumerate(form.health_checks):
        field = f"health_checks.{number}"
        if each.type in seen:
            yield f"{field}.type", f"can't be {each.type} twice: there is at most one check of each type"
        seen.add(each.type)
        needs = {"http": ("port", "path"), "tcp": ("port",), "cmd": ("cmd",)}[each.protocol]
        for name in ("port", "path", "cmd"):
            if name in needs and getattr(each, name) is None:
                yield f"{field}.{name}", f"is missing: a check by {each.protocol} needs it"
            if name not in needs and getattr(each, name) is not None:
                yield f"{field}.{name}", f"is not for a check by {each.protocol}: leave it out"


def definition_of(form: JobForm, vault: Vault, stored_env: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a job: defaults filled in, secrets sealed, the webhook secret left to its source."""
    definition = form.model_dump(mode="json")
    source = definition["source"]
    own = {name: source[name] for name in OWN_FIELDS[form.source.type]}
    if form.source.git is not None:
        own["git"] = {name: value for name, value in own["git"].items() if name != "webhook_secret"}
    definition["source"] = {"type": form.source.type, **own}
    definition["env"] = {
        name: sealed(f"env.{name}", entry, vault, stored_env.get(name)) for name, entry in form.env.items()
    }
    return definition


def sealed(field: str, entry: EnvForm, vault: Vault, stored: Any) -> Any:
    """A variable as it is stored. A secret without a value keeps the stored one."""
    if entry.value is None:
        if entry.secret and isinstance(stored, dict) and stored.get("secret"):
            return {**stored, "scope": entry.scope}
        raise InvalidValue(f"{field}.value", f"{field}.value is missing: give the variable's text.")
    if entry.secret:
        return {"value": vault.seal(entry.value, ENV_PURPOSE), "secret": True, "scope": entry.scope}
    if entry.scope == "run":
        return entry.value
    return {"value": entry.value, "secret": False, "scope": entry.scope}


def unmasked(env: Mapping[str, Any], vault: Vault) -> list[str]:
    """Warnings about the secrets of a stored environment that are too short to be masked in logs."""
    secrets = {
        name: _opened(entry["value"], vault)
        for name, entry in env.items()
        if isinstance(entry, dict) and entry.get("secret")
    }
    return [
        f"{name} is a secret of {_length(secret)}: too short to be masked in logs."
        for name, secret in secrets.items()
        if secret is not None and not is_masked(secret)
    ]


def _length(secret: str) -> str:
    short = f"fewer than {MIN_LENGTH} characters"
    return short if len(secret) < MIN_LENGTH else f"lines of {short}"


def _opened(value: str, vault: Vault) -> str | None:
    try:
        return vault.open(value, ENV_PURPOSE)
    except JobyardError:
        return None  # damaged, or of another key: whoever uses it is told


def source_of(
    tx: Tx, server: ServerContext, project: Project, form: JobForm, kept: Source | None
) -> SourceFields | int | None:
    """What the job is built from: fields of a source of its own, a build service's id, or nothing."""
    source = form.source
    if source.type == "build_service":
        assert source.build_service is not None
        service = jobs.build_service(tx, project.id, source.build_service)
        if service is None:
            raise InvalidValue(
                "source.build_service",
                f"source.build_service must name a build service of project {project.name},"
                f" not {source.build_service!r}.",
            )
        if source.branch not in (None, service.branch):
            raise InvalidValue(
                "source.branch",
                f"source.branch must be {service.branch}, the branch of build service {service.name},"
                f" not {source.branch!r}: leave it out, or name another build service.",
            )
        return service.id
    if source.type == "image":
        assert source.image is not None
        require_usable(tx, server.ours, project.id, source.image, "source.image")
        host = registry_host(source.image)
        credential_of(tx, project, source.credential, "registry", host, "source.credential")
    if source.git is None or source.build is None:
        return None
    require_usable_variables(tx, server, project, form.env)
    require_usable_build(tx, server, project, source.build, "source.build")
    stored = kept.webhook_secret if kept is not None and kept.name is None else None
    return {
        **git_fields(tx, server, project, source.git, stored, "source.git"),
        "build": build_fields(source.build, submodules=source.git.submodules, lfs=source.git.lfs),
        "ci_enabled": form.ci_enabled,
        "builds_in_flight": form.builds_in_flight,
    }


def require_usable_variables(
    tx: Tx, server: ServerContext, project: Project, env: Mapping[str, EnvForm]
) -> None:
    """Raises InvalidValue for a variable that no build may have."""
    in_build = {
        name: None if entry.secret else entry.value for name, entry in env.items() if entry.scope != "run"
    }
    require_usable_arguments(tx, server.ours, project.id, in_build, "env")


def require_usable_build(
    tx: Tx, server: ServerContext, project: Project, build: BuildForm, field: str
) -> None:
    """Raises InvalidValue for a command of the build that names an image of another project."""
    for name in ("install_command", "build_command", "run_command"):
        text = getattr(build, name) or ""
        require_usable_names(tx, server.ours, project.id, text, f"{field}.{name}")


def git_fields(
    tx: Tx, server: ServerContext, project: Project, git: GitForm, stored_secret: str | None, field: str
) -> dict[str, Any]:
    """What is stored of a repository and branch; a webhook secret that isn't given stays as it is."""
    secret = git.webhook_secret
    return {
        "url": git.url,
        "repo_key": repo_key(git.url),
        "branch": git.branch,
        "credential_id": credential_of(
            tx, project, git.credential, "git", git_host(git.url), f"{field}.credential"
        ),
        "webhook_secret": stored_secret if secret is None else server.vault.seal(secret, WEBHOOK_PURPOSE),
    }


def build_fields(build: BuildForm, *, submodules: bool, lfs: bool) -> dict[str, Any]:
    """What is stored of how an image is made: what is fetched with the commit is part of that."""
    return {**build.model_dump(mode="json"), "submodules": submodules, "lfs": lfs}


def credential_of(tx: Tx, project: Project, name: str | None, kind: str, host: str, field: str) -> int | None:
    """The id of a credential that may be sent to `host`; None for none. Raises InvalidValue at `field`."""
    if name is None:
        return None
    found = credentials.find(tx, project.id, name)
    if found is None or found.kind != kind:
        raise InvalidValue(
            field, f"{field} must name a {kind} credential of project {project.name}, not {name!r}."
        )
    if not found.host:
        raise InvalidValue(field, without_host(found.name))
    if not may_be_sent(found.host, host):
        raise InvalidValue(
            field, f"{field} must be a credential for {host or 'a local path'}; {name} is for {found.host}."
        )
    return found.id


def patched(job: Job, patch: Mapping[str, Any], server: ServerContext) -> JobForm:
    """The job's form with a patch merged in, validated as a whole."""
    require_changeable(patch, job.name, READ_ONLY)
    form = form_of(job)
    new_source = patch.get("source")
    if (
        isinstance(new_source, dict)
        and new_source.get("type", form["source"]["type"]) != form["source"]["type"]
    ):
        if form["source"]["type"] != "none":
            raise InvalidValue(
                "source.type",
                f"source.type can't be changed: it stays {form['source']['type']}. Make another job for another type.",
            )
        form["source"] = {}
    return check(read_value(JobForm, merge_patch(form, patch), server))


def require_changeable(patch: Mapping[str, Any], name: str, read_only: frozenset[str]) -> None:
    """Raises InvalidValue for a patch of what can't be changed: the name, and what is only ever shown."""
    for field in patch:
        if field in read_only:
            raise InvalidValue(field, f"{field} is read-only: leave it out.")
    if patch.get("name", name) != name:
        raise InvalidValue("name", f"name can't be changed: it stays {name}.")


def form_of(job: Job) -> dict[str, Any]:
    """The stored definition as it could be given again: secrets are there, without their values."""
    env = shown_env(job.definition["env"])
    return {"builds_in_flight": "all", **job.definition, "env": env}  # a definition of old has no such field


def merge_patch(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `patch` on top: objects are merged, anything else is replaced; null deletes from `env`."""
    merged = {**base}
    for name, given in patch.items():
        known = merged.get(name)
        if name == "env" and isinstance(given, dict) and isinstance(known, dict):
            merged[name] = _merge_env(known, given)
        elif isinstance(given, dict) and isinstance(known, dict):
            merged[name] = merge_patch(known, given)
        else:
            merged[name] = given
    return merged


def _merge_env(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base}
    for name, given in patch.items():
        known = merged.pop(name, None)
        if given is None:
            continue
        merged[name] = given
        if isinstance(known, dict):  # what is secret stays so, unless it is said otherwise
            change = {"value": given} if isinstance(given, str) else given
            merged[name] = {**known, **change} if isinstance(change, dict) else change
    return merged


def inheriting(entry: EnvForm, stored: Any) -> EnvForm:
    """The variable with the secrecy and scope of the stored one, where it says nothing of its own."""
    if not isinstance(stored, dict):  # a bare string is a plain variable of runs
        return entry
    of_its_own = {name: getattr(entry, name) for name in entry.model_fields_set}
    return EnvForm(**{"secret": stored["secret"], "scope": stored["scope"], **of_its_own})
