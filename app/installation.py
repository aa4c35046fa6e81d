"""A data directory with its store and key: made or opened, checked, and locked while it is served."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.key_rotation import KEY_CHECK, KEY_RING
from app.commands.remote_access import without_host
from app.commands.sources import guessable
from app.config import Settings, traces
from app.disk import fault_of
from app.domain.errors import JobyardError, UserError
from app.domain.references import Ours
from app.runtime.ports import Clock
from app.runtime.signals import Signals
from app.secrets import (
    Ring,
    SecretBox,
    SecretKeyError,
    first_ring,
    key_id,
    key_of_command,
    load_or_create_key,
    open_ring,
    openers,
    required_key,
)
from app.store import (
    commit_statuses,
    credentials,
    epochs,
    facts,
    projects,
    refused_calls,
    repository_hooks,
)
from app.store.database import Database, Tx
from app.system import SystemClock

if TYPE_CHECKING:
    from app.commands.backups import BackupSource

INSTALLATION, DRILL = facts.INSTALLATION, "drill"


@dataclass(frozen=True)
class Installation:
    """A data directory with its store and key, ready to be served or administered. `epoch` is that of
    `store.epochs`.
    """

    settings: Settings
    db: Database
    box: SecretBox
    signals: Signals
    clock: Clock
    id: str
    epoch: str

    @property
    def image_name(self) -> str:
        """The name under which the images of its builds are tagged."""
        return f"jobyard-{self.id}{self.epoch and f'-{self.epoch}'}"

    @property
    def ours(self) -> Ours:
        return Ours(self.image_name, self.settings.registry)


@contextmanager
def open_installation(settings: Settings) -> Iterator[Installation]:
    """Make or open the data directory, bring the store up to date and check the key. Raises UserError."""
    _make_directory(settings)
    signals = Signals()
    db = Database(
        settings.store_url,
        signals.publish,
        settings.quotas,
        settings.secret_rules,
        is_traced=traces.are_sent(),
    )
    try:
        db.migrate()
        box = _box(settings, db)
        id_, epoch = _identity(db, box)
        yield Installation(settings, db, box, signals, SystemClock(), id_, epoch)
    finally:
        db.close()


def migrate_apart(settings: Settings) -> None:
    """Bring the store up to date in a process that ends, as what that takes would stay in a server: 13 MB.

    What fails there is left to `open_installation`, which tries it again and says what is wrong. To be called before
    there are threads. Raises UserError.
    """
    _make_directory(settings)
    with closing(Database(settings.store_url)) as db:
        if db.is_current():
            return
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            Database(settings.store_url).migrate()
        os._exit(0)
    try:
        with suppress(
            ChildProcessError
        ):  # where who started the server does not want to know of its children
            os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise


def _make_directory(settings: Settings) -> None:
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"JOBYARD_DATA: the directory {settings.data} can't be made ({error.strerror})."
        raise UserError(message) from error
    _refuse_remains(settings)


def _refuse_remains(settings: Settings) -> None:
    """Raise UserError for a directory that was in use and has no database: the runs of a new one would get old
    logs.

    A key that somebody brings along, without anything else, is fine.
    """
    if not settings.store_url.startswith("sqlite:///"):
        return
    database = Path(settings.store_url.removeprefix("sqlite:///"))
    logs, key = settings.data / "logs", settings.key_file
    remains = [each.name for each in (logs, key) if each.exists()]
    if has_content(database) or not remains or (remains == [key.name] and not database.exists()):
        return
    raise UserError(
        f"The database {database} is {'empty' if database.exists() else 'missing'}, though an earlier one has left "
        f"{' and '.join(remains)} beside it: restore a backup into a new directory, or begin anew in an empty one; "
        "JOBYARD_DATA names it."
    )


def has_content(database: Path) -> bool:
    """Return whether an SQLite database holds anything; what was committed may be in its log alone."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return any(each.is_file() and each.stat().st_size > 0 for each in files)


def _box(settings: Settings, db: Database) -> SecretBox:
    """What seals and opens secrets, with the keys that the database has for the operator's. Raises SecretKeyError."""

    known: tuple[str | None, Ring] | None = None

    def ring() -> Ring:
        nonlocal known
        with db.read() as tx:
            stored, is_sealed = facts.read(tx, KEY_RING), facts.read(tx, KEY_CHECK) is not None
        is_rotated_now = stored is not None and len(openers(stored)) > 1  # the key itself may be another now
        if known is None or known[0] != stored or is_rotated_now:
            key = operators_key(settings, is_sealed=is_sealed)
            known = stored, first_ring(key) if stored is None else open_ring(stored, key)
        return known[1]

    return SecretBox(ring(), ring)


def operators_key(settings: Settings, *, is_sealed: bool) -> bytes:
    """The key that the settings name; its file is made unless something is sealed already. Raises SecretKeyError."""
    if settings.secret_key is not None:
        return required_key(settings.secret_key.get_secret_value().encode())
    if settings.secret_key_command is not None:
        return key_of_command(settings.secret_key_command)
    if is_sealed and not settings.key_file.exists():
        raise SecretKeyError(missing_key(settings.key_file))
    return load_or_create_key(settings.key_file)


def openers_of(settings: Settings, tx: Tx) -> tuple[str, ...]:
    """The ids of the keys that open the data: one, or two while the key is rotated. Raises SecretKeyError."""
    stored = facts.read(tx, KEY_RING)
    if stored is not None:
        return openers(stored)
    is_here = settings.secret_key or settings.secret_key_command or settings.key_file.exists()
    return (key_id(operators_key(settings, is_sealed=True)),) if is_here else ()


def backup_source(settings: Settings, db: Database, *, with_key: bool) -> BackupSource:
    """What a backup is made of; with the key only where there is a key file."""
    from app.commands.backups import BackupSource  # with what it imports, which few servers need

    is_elsewhere = settings.secret_key is not None or settings.secret_key_command is not None
    has_key_file = not is_elsewhere and settings.key_file.is_file()
    return BackupSource(
        db,
        settings.store_url,
        settings.data,
        settings.key_file if with_key and has_key_file else None,
        partial(openers_of, settings),
    )


def missing_key(file: Path) -> str:
    return (
        f"The key file {file} is missing, and the database was sealed with the key it held: restore it from a backup, "
        "or set JOBYARD_SECRET_KEY to that key."
    )


def _identity(db: Database, box: SecretBox) -> tuple[str, str]:
    """Return the id that this installation's containers are labelled with, and its epoch.

    The first start makes the id and the key's check. Raises SecretKeyError for another key.
    """
    with db.write() as tx:
        known = facts.read(tx, INSTALLATION)
        check = facts.read(tx, KEY_CHECK)
        if check is None:
            facts.write(tx, KEY_CHECK, box.key_check())
        else:
            box.verify(check)
        if known is None:
            known = secrets.token_hex(6)
            facts.write(tx, INSTALLATION, known)
        return known, epochs.current(tx)


def known_id(settings: Settings) -> str:
    """Return the id of the installation that the settings are of, and touch nothing; empty before its first start, or
    where the store can't be read.
    """
    if settings.database_url is None and not (settings.data / "jobyard.db").is_file():
        return ""
    db = Database(settings.store_url)
    try:
        with db.read() as tx:
            return facts.read(tx, INSTALLATION) or ""
    except JobyardError:
        return ""
    finally:
        db.close()


def begin_epoch(db: Database, *, is_drill: bool = False) -> tuple[str, str]:
    """Make a copy of an installation's data one of its own; return the installation's id and the new epoch.

    In a drill its server starts no loops, until another epoch begins.

    Raises UserError if a server works on it, or it is no installation's.
    """
    now, epoch = SystemClock().now(), secrets.token_hex(4)
    with db.write() as tx:
        known = facts.read(tx, INSTALLATION)
        if known is None:
            raise UserError("The database is not one that a server of Jobyard has worked on.")
        epochs.begin(tx, epoch, now)
        facts.write(tx, DRILL, "yes" if is_drill else "")
        return known, epoch


@contextmanager
def only_server(settings: Settings, *, is_sqlite: bool) -> Iterator[bool]:
    """Hold the data directory's lock while serving. Yields whether that proves that no other server is alive.

    Raises UserError if another server has it. With PostgreSQL several servers may share the database.
    """
    if not is_sqlite:
        yield False
        return
    try:
        lock_file = (settings.data / "server.lock").open("w")
    except OSError as error:
        raise fault_of(error, settings.data.resolve()) from error
    with lock_file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"Another server is running on {settings.data.resolve()}: stop it, or set JOBYARD_DATA."
            raise UserError(message) from error
        yield True


def stored_box(settings: Settings, db: Database) -> SecretBox | None:
    """Return what opens what is stored; None where there is no key yet. Raises SecretKeyError."""
    is_elsewhere = settings.secret_key is not None or settings.secret_key_command is not None
    return _box(settings, db) if is_elsewhere or settings.key_file.exists() else None


def guessable_webhook_secrets(settings: Settings, db: Database) -> list[str]:
    """Return a sentence for each webhook secret that would be refused today. Raises SecretKeyError."""
    box = stored_box(settings, db)
    if box is None:
        return []
    with db.read() as tx:
        named = projects.named_webhook_secrets(tx)
    return [f"{of}: {sentence}" for of, each in named for sentence in guessable(box, each.sealed, each.place)]


def is_drill(db: Database) -> bool:
    """Return whether the data was restored to be looked at only."""
    with db.read() as tx:
        return bool(facts.read(tx, DRILL))


def logs_apart(own: Installation) -> str:
    """Return a sentence where other servers are at work that can't read the logs of this one; else nothing."""
    if own.settings.has_shared_logs:
        return ""
    with own.db.read() as tx:
        others = epochs.servers_alive(tx, own.clock.now())
    if own.db.is_sqlite or not others:
        return ""
    return (
        f"Other servers work on this database ({', '.join(sorted(set(others)))}), and none can read another's logs: "
        "set JOBYARD_LOG_STORE to a shared volume or a bucket, on all of them."
    )


def trouble_with_forges(db: Database) -> list[str]:
    """Return a sentence for each webhook that is not in order or signs wrongly, each repository that was renamed, and
    the last status that each project gave up.
    """
    with db.read() as tx:
        hooks = [
            f"Project {project}, {hook.repo_key}: {hook.problem}"
            for project, hook in repository_hooks.in_trouble(tx)
        ]
        refused = _refused_since_the_last_right_call(tx)
        unknown = [
            f"Project {project}: calls with the right secret are about {name}, which nothing there has: was it renamed"
            " or transferred? Give its new address to its jobs and build services."
            for project, name in projects.unknown_repositories_of_all(tx)
        ]
        given_up = [
            f"Project {project}: the status {status.context} of {status.sha[:7]} is not posted: {status.said}"
            for project, status in commit_statuses.latest_given_up(tx)
        ]
    return [*hooks, *refused, *unknown, *given_up]


def _refused_since_the_last_right_call(tx: Tx) -> list[str]:
    found = refused_calls.of_all(tx)
    right = repository_hooks.last_calls(tx, [repo_key for _, repo_key, _ in found])
    return [
        f"Project {project}, {repo_key}: {calls.sentence}"
        for project, repo_key, calls in found
        if repo_key not in right or not right[repo_key].is_after(calls.last_at)
    ]


def credentials_without_host(db: Database) -> list[str]:
    """Return a sentence for each credential that is of no use until it has a host."""
    with db.read() as tx:
        return [f"Project {project}: {without_host(name)}" for project, name in credentials.without_host(tx)]
