"""What jobs are built from, as it is stored: every name is looked up, and the webhook secret is sealed."""

from __future__ import annotations

from app.commands.image_policy import require_usable_names
from app.commands.remote_access import without_host
from app.domain.errors import InvalidValue, JobyardError
from app.domain.events import repo_key
from app.domain.guessing import SHORTEST_WEBHOOK_SECRET, require_unguessable
from app.domain.hosts import git_host, may_be_sent
from app.domain.job.records import Source, SourceSettings
from app.domain.job.spec import BuildConfig, BuildsInFlight, GitSource
from app.domain.references import Ours
from app.domain.sealing import Place, of_source_hook
from app.runtime.ports import Vault
from app.store import credentials, github_apps, refused_calls, repository_hooks
from app.store.database import Tx
from app.store.identity import reserved_id
from app.store.projects import Project


def guessable(vault: Vault, sealed: str | None, place: Place) -> list[str]:
    """What is to be said of a stored webhook secret that would be refused today: earlier releases took it."""
    if sealed is None:
        return []
    try:
        require_unguessable(vault.open(sealed, place), SHORTEST_WEBHOOK_SECRET)
    except JobyardError as error:  # it can't be opened
        return [str(error)]
    except ValueError as error:
        return [f"The webhook secret is easily guessed: it {error}. Set another, here and at the repository."]
    return []


def source_settings(
    tx: Tx,
    project: Project,
    git: GitSource,
    *,
    ci_enabled: bool,
    builds_in_flight: BuildsInFlight,
    webhook_secret: str | None,
    kept: Source | None,
    vault: Vault,
    field: str,
    config_file: bool = False,
) -> SourceSettings:
    """The repository, which is at `field`, and how it is built. Raises InvalidValue.

    `kept` is what takes these settings; without a `webhook_secret`, in plain text, it has its own.
    """
    credential_id = credential_for(
        tx, project, git.credential, "git", git_host(git.url), f"{field}.credential"
    )
    source_id = reserved_id(tx, "source") if kept is None else kept.id
    sealed = None if kept is None else kept.webhook_secret
    if webhook_secret is not None:
        sealed = vault.seal(webhook_secret, of_source_hook(project.id, source_id))
        refused_calls.forget(tx, project.id, repo_key(git.url))
        if project.webhook_secret is None:
            repository_hooks.outdate(tx, project.id, repo_key(git.url))
    return SourceSettings(
        id=source_id,
        url=git.url,
        repo_key=repo_key(git.url),
        branch=git.branch,
        build=git.build,
        ci_enabled=ci_enabled,
        builds_in_flight=builds_in_flight,
        credential_id=credential_id,
        webhook_secret=sealed,
        config_file=config_file,
    )


def require_usable_build(tx: Tx, ours: Ours, project: Project, build: BuildConfig, field: str) -> None:
    """Raises InvalidValue for a command of the build, which is at `field`, that names an image of another project."""
    commands = {
        "install_command": build.install_command,
        "build_command": build.build_command,
        "run_command": build.run_command,
    }
    for name, text in commands.items():
        require_usable_names(tx, ours, project.id, text or "", f"{field}.{name}")


def credential_for(
    tx: Tx, project: Project, name: str | None, kind: str, host: str, field: str
) -> int | None:
    """The id of a credential that may be sent to `host`; None for none. Raises InvalidValue at `field`."""
    if name is None:
        return None
    found = credentials.find(tx, project.id, name)
    kinds = (kind, github_apps.KIND) if kind == "git" else (kind,)
    if found is None or found.kind not in kinds:
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
