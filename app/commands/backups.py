"""Making backups in a directory or a bucket, by a command or a schedule, and finding out whether one is whole."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from sqlite3 import Error as SqliteError
from sqlite3 import connect
from typing import IO

from app import buckets
from app.backups import archive
from app.backups.archive import Facts, Unpacked
from app.buckets import SCHEME, Bucket, Sink, Stored
from app.domain.backups import Made, StoredBackup, is_own, name_of
from app.domain.errors import UserError
from app.store import facts
from app.store.database import Database, Tx
from app.store.tables import check_sqlite, count_rows, names_of_tables, revision

COUNTED = ("project", "job", "run", "build", "delivery", "audit")
Write = Callable[[Sink, Path], None]  # to a stream, with a directory for what is needed meanwhile


@dataclass(frozen=True)
class BackupSource:
    """What is backed up: a database, the logs below `data`, and a key file unless that is None.

    `openers` gives the ids of the keys that open the secrets.
    """

    db: Database
    url: str
    data: Path
    key_file: Path | None
    openers: Callable[[Tx], tuple[str, ...]]

    def facts(self, now: datetime) -> Facts:
        """Raises UserError for a database that no server has worked on."""
        with self.db.read() as tx:
            tables = names_of_tables(tx)
            if "setting" not in tables:
                raise UserError("There is nothing to back up in the database at JOBYARD_DATABASE_URL.")
            return Facts(
                kind="sqlite" if self.db.is_sqlite else "postgresql",
                made_at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
                installation=facts.read(tx, facts.INSTALLATION) or "",
                revision=revision(tx),
                openers=self.openers(tx),
                has_key=self.key_file is not None,
                rows=count_rows(tx, [name for name in COUNTED if name in tables]),
            )

    def write(self, of: Facts, stream: Sink, made: Path) -> None:
        """Write the archive, the database first: logs only grow, so the copy of them has all that it knows of."""
        if self.db.is_sqlite:
            database = made / archive.DATABASE
            with (
                closing(connect(self.url.removeprefix("sqlite:///"))) as live,
                closing(connect(database)) as copy,
            ):
                live.backup(copy)  # in one step: one moment's state, whoever writes meanwhile
        else:
            from app.backups import postgres  # with its driver, which others need not load

            database = made / archive.DUMP
            postgres.dump(self.url, database)
        with archive.Writer(stream, of) as writer:
            writer.file(database, database.name)
            database.unlink()
            if self.key_file is not None:
                writer.file(self.key_file, archive.KEY)
            for path in sorted((self.data / archive.LOGS).rglob("*")):
                writer.file(path, str(path.relative_to(self.data)))


def to_file(
    file: Path, write: Write, *, prefix: str = "jobyard-backup-", check: Callable[[Path], None] | None = None
) -> int:
    """Write a new file, which has its name when it is whole and `check` has found nothing; returns its bytes.

    It is made in a directory beside it whose name begins with `prefix`. Raises UserError.
    """
    if file.exists():
        raise UserError(f"{file} exists already: give the name of a new file.")
    if not file.parent.is_dir():
        raise UserError(f"There is no directory {file.parent}.")
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=file.parent) as made:
            tar = Path(made) / "backup.tar"
            tar.touch(mode=0o600)
            with tar.open("wb") as stream:
                write(stream, Path(made))
                stream.flush()
                os.fsync(stream.fileno())
            size = tar.stat().st_size
            if check is not None:
                check(tar)
            tar.rename(file)
    except (OSError, SqliteError) as error:
        raise UserError(f"{file} can't be written: {error}.") from error
    return size


def to_bucket(bucket: Bucket, stored: Stored, write: Write) -> None:
    """Store a new object. Raises UserError."""
    if buckets.exists(bucket, stored):
        raise UserError(f"{stored} exists already: give another name.")
    try:
        with tempfile.TemporaryDirectory(prefix="jobyard-backup-") as made:
            buckets.upload(bucket, stored, lambda stream: write(stream, Path(made)))
    except (OSError, SqliteError) as error:
        raise UserError(f"{stored} can't be written: {error}.") from error


@contextmanager
def open_backup(file: str, bucket: Bucket) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of an object by its address. Raises UserError, also for what goes wrong meanwhile."""
    try:
        if file.startswith(SCHEME):
            with buckets.download(bucket, Stored.of(file, "")) as stream:
                yield stream
        else:
            with Path(file).open("rb") as opened:
                yield opened
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{file} can't be read: {reason}.") from error


def verify(file: str, bucket: Bucket) -> tuple[Unpacked, dict[str, object]]:
    """Read a backup to its end; return what is in it and what is said of it. Raises UserError if anything is wrong."""
    only = frozenset({archive.DATABASE, archive.DUMP, archive.KEY})
    with tempfile.TemporaryDirectory(prefix="jobyard-verify-") as made, open_backup(file, bucket) as stream:
        found = archive.unpack(stream, Path(made), only)
        database, dump = Path(made) / archive.DATABASE, Path(made) / archive.DUMP
        if not database.exists() and not dump.exists():
            raise UserError(f"{file} has no database in it: it is no backup of Jobyard.")
        if dump.exists():
            from app.backups import postgres

            postgres.check(dump)
        else:
            check_sqlite(database)
        return found, _judged(found, Path(made) / archive.KEY)


def _judged(found: Unpacked, key_file: Path) -> dict[str, object]:
    """What is said of a backup that is whole. Raises UserError for a version or a key that doesn't fit."""
    from app.secrets import key_id
    from app.store.migrate import revisions

    of = found.facts
    if of is None:
        return {"made_at": None, "key": "in it" if key_file.exists() else "kept apart"}
    if of.revision not in revisions():
        raise UserError(
            f"The backup has revision {of.revision}, which a later version of Jobyard made: restore it with that."
        )
    if key_file.exists() and key_id(key_file.read_bytes().strip()) not in of.openers:
        raise UserError("The key in the backup is not the one that its secrets were sealed with.")
    return {
        "made_at": of.made_at,
        "database": f"{of.kind}, revision {of.revision}",
        "rows": ", ".join(f"{count} {table}" for table, count in of.rows.items()),
        "key": "in it" if of.has_key else f"kept apart: the one with the id {of.openers[-1]}",
    }


@dataclass(frozen=True)
class BackupShelf:
    """Where an epoch's backups by a schedule are: a directory or, where `to` is an address, a bucket."""

    to: str
    bucket: Bucket
    installation: str
    epoch: str

    def stored(self) -> list[StoredBackup]:
        """This epoch's backups, newest first, whatever else is there. Raises UserError."""
        found = [
            StoredBackup(name, self.where(name), size)
            for name, size in self._sizes().items()
            if is_own(name, self.installation, self.epoch)
        ]
        return sorted(found, key=lambda each: each.name, reverse=True)

    def _sizes(self) -> dict[str, int]:
        if self.is_bucket:
            return buckets.sizes(self.bucket, Stored.of(f"{self.to}/", ""))
        try:
            return {each.name: each.stat().st_size for each in Path(self.to).iterdir()}
        except OSError as error:
            raise UserError(f"{self.to} can't be read: {error.strerror}.") from error

    def where(self, name: str) -> str:
        return f"{self.to}/{name}"

    @property
    def is_bucket(self) -> bool:
        return self.to.startswith(SCHEME)


@dataclass(frozen=True)
class ScheduledBackups:
    """Makes and removes those of a shelf."""

    source: BackupSource
    shelf: BackupShelf

    def make(self, now: datetime) -> Made:
        """Make one, and read it to its end; one in a bucket that is not whole is removed. Raises UserError."""
        of = self.source.facts(now)
        name = name_of(now, self.shelf.installation, self.shelf.epoch)
        where = self.shelf.where(name)
        if self.shelf.is_bucket:
            return Made(name, where, self._stored(name, of))
        self._sweep()

        def check(file: Path) -> None:
            verify(str(file), self.shelf.bucket)

        def write(stream: Sink, made: Path) -> None:
            self.source.write(of, stream, made)

        return Made(name, where, to_file(Path(where), write, prefix=self._parts, check=check))

    def _stored(self, name: str, of: Facts) -> int:
        where = self.shelf.where(name)
        stored = Stored.of(where, "")
        to_bucket(self.shelf.bucket, stored, lambda stream, made: self.source.write(of, stream, made))
        try:
            verify(where, self.shelf.bucket)
        except UserError:
            with suppress(UserError):  # why it is not whole says more
                buckets.remove(self.shelf.bucket, stored)
            raise
        return buckets.size(self.shelf.bucket, stored)

    def names(self) -> Sequence[str]:
        """The names of this epoch's backups, whatever else is there. Raises UserError."""
        return [each.name for each in self.shelf.stored()]

    def remove(self, name: str) -> None:
        """Nothing if it is gone already. Raises UserError."""
        if self.shelf.is_bucket:
            buckets.remove(self.shelf.bucket, Stored.of(self.shelf.where(name), ""))
            return
        try:
            Path(self.shelf.where(name)).unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{self.shelf.where(name)} can't be removed: {error.strerror}.") from error

    def _sweep(self) -> None:
        """Remove what a server that was killed has left of one that it was making: no other is at it now."""
        for half in Path(self.shelf.to).glob(f"{self._parts}*"):
            shutil.rmtree(half, ignore_errors=True)

    @property
    def _parts(self) -> str:
        return f".jobyard-{self.shelf.installation}-{self.shelf.epoch}-part-"
