"""What the web needs of the rest: handed over once by the composition root, found on `request.app.state.server`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from app.commands.app_tokens import AppTokens
from app.commands.backup_list import BackupList
from app.commands.dry_run import DryRun
from app.commands.image_resolution import Sighting
from app.commands.repository_hooks import RepositoryHooks
from app.commands.retention import Retention
from app.commands.run_differences import CommitRanges
from app.commands.shells import Shells
from app.commands.sign_in import Desk
from app.domain.backups import BackupPlan
from app.domain.host_keys import HostKey
from app.domain.job.records import Pinned
from app.domain.references import Ours
from app.forges.base import Forge
from app.runtime.disk import Disk
from app.runtime.engine_health import EngineHealth
from app.runtime.log_storage import LogStorage
from app.runtime.moments import Moments
from app.runtime.ports import Clock, IdentityProvider, Names, Vault
from app.runtime.signals import Signals
from app.runtime.turns import Turns
from app.store.database import Database
from app.store.inbox import Inbox
from app.web.form_rules import FormRules
from app.web.guide import Reference


@dataclass(frozen=True)
class ServerContext(FormRules):
    """The running installation as the web sees it. Handlers stay thin: they call the store and the commands."""

    db: Database
    inbox: Inbox
    clock: Clock
    names: Names
    vault: Vault
    signals: Signals
    log_storage: LogStorage
    forges: Mapping[str, Forge]
    ours: Ours
    public_url: str  # without a slash at its end
    host_keys_of: Callable[[str], Sequence[HostKey]]  # asks an ssh server for them, for some seconds
    pin_image: Callable[
        [int, str], Pinned
    ]  # for the job of that id; raises InvalidValue where it can't be had
    sighted_image: Callable[
        [int, str, str | None], Sighting
    ]  # for a new job of the project of that id, with the credential that it names
    missing_images: Callable[
        [Mapping[int, str]], frozenset[str]
    ]  # of those that jobs are to get, the ones that can't be had any more
    engine_health: Callable[[], EngineHealth]  # as it was a moment ago: nobody waits for the engine
    app_tokens: AppTokens  # asks GitHub as a GitHub App
    repository_hooks: RepositoryHooks  # at the forges
    dry_run: DryRun
    retention: Retention
    shells: Shells
    commit_ranges: CommitRanges
    disk: Disk = field(default_factory=Disk)
    turns: Turns = field(default_factory=Turns)
    moments: Moments = field(default_factory=Moments)  # at which streams look at rights
    desk: Desk = field(default_factory=Desk)  # where people log in
    provider: IdentityProvider | None = None
    sends_mail: bool = False
    backups: BackupPlan | None = None  # those that are made by themselves, if any
    backup_list: BackupList | None = None  # and which there are
    drill: str = ""  # in a drill, what that means: no loop runs
    is_public_url_set: bool = True  # else it is where the server listens, which means little elsewhere
    references: Mapping[str, Reference] = field(
        default_factory=dict
    )  # parts of the guide that pages don't know
    admin_token_hash: str | None = field(default=None, repr=False)


def server_of(connection: HTTPConnection) -> ServerContext:
    server: ServerContext = connection.app.state.server
    return server
