"""`jobyard backup`: database, logs and key in one archive, in a file or a bucket; and whether one is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from sqlite3 import Error as SqliteError
from sqlite3 import connect
from typing import IO, TYPE_CHECKING, Annotated

import typer

from app.cli.lazy import Group
from app.cli.options import JsonOption, add_command, help_of, show_examples
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.backups.archive import Facts, Unpacked
    from app.config import Settings
    from app.store.database import Database

COUNTED = ("project", "job", "run", "build", "delivery", "audit")
WhereArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A tar file, or s3://BUCKET/NAME with the usual AWS_ variables.")
]


def add_to(cli: typer.Typer) -> None:
    settings = {"allow_interspersed_args": True}  # options may follow the file
    group = typer.Typer(cls=Group, invoke_without_command=True, context_settings=settings)
    group.callback(
        help=help_of(backup),
        epilog=show_examples(
            "jobyard backup /var/backups/jobyard-2026-01-31.tar", "jobyard backup s3://backups/jobyard/"
        ),
    )(backup)
    add_command(group, "verify", verify, "jobyard backup verify /var/backups/jobyard-2026-01-31.tar")
    cli.add_typer(group, name="backup")


def backup(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A tar file that does not exist yet, or s3://BUCKET/NAME; with a slash at the end a name is chosen.",
        ),
    ],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the key file into it, as is done in files by default.")
    ] = False,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave the key file out, as is done in buckets by default.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Copy database, key and logs into one file or bucket, also while the server runs.

    With the key in it, it opens all secrets: keep it as safe as the server. Without, keep the key elsewhere. Checkouts
    and images are left out; they are made again when needed. `jobyard backup verify FILE` says whether it is whole.
    """
    from app.cli import output
    from app.config import read_settings
    from app.installation import has_content
    from app.store.database import Database

    settings = read_settings()
    if with_key and without_key:
        raise UserError("--with-key and --without-key can't be given together.")
    if settings.database_url is None and not has_content(settings.data / "jobyard.db"):
        raise UserError(f"There is nothing to back up in {settings.data.resolve()}: set JOBYARD_DATA.")
    is_in_bucket = file.startswith("s3://")
    wants_key = (with_key or not is_in_bucket) and not without_key
    key_file = settings.key_file if wants_key and _has_key_file(settings) else None
    db = Database(settings.store_url)  # of whatever version: nothing is migrated by this
    try:
        facts = _facts(settings, db, has_key=key_file is not None)
        write = partial(_write, settings, facts, key_file)
        where = _to_bucket(file, facts, write) if is_in_bucket else _to_file(Path(file), write)
    finally:
        db.close()
    if json:
        output.print_json({"path": where, "has_key": key_file is not None})
    else:
        print(f"{where} holds {'database, key and logs' if key_file else 'database and logs'}.")
    if key_file is None:
        named = "JOBYARD_SECRET_KEY" if settings.secret_key is not None else "The key"
        typer.echo(f"{named} is not in it: keep it elsewhere, or no secret opens again.", err=True)


def _has_key_file(settings: Settings) -> bool:
    return settings.secret_key is None and settings.secret_key_command is None and settings.key_file.is_file()


def _to_file(file: Path, write: Callable[[IO[bytes], Path], None]) -> str:
    if file.exists():
        raise UserError(f"{file} exists already: give the name of a new file.")
    if not file.parent.is_dir():
        raise UserError(f"There is no directory {file.parent}.")
    try:
        with tempfile.TemporaryDirectory(prefix="jobyard-backup-", dir=file.parent) as made:
            tar = Path(made) / "backup.tar"
            tar.touch(mode=0o600)
            with tar.open("wb") as stream:
                write(stream, Path(made))
            tar.rename(file)
    except (OSError, SqliteError) as error:
        raise UserError(f"{file} can't be written: {error}.") from error
    return str(file)


def _to_bucket(address: str, facts: Facts, write: Callable[[IO[bytes], Path], None]) -> str:
    from app.backups.buckets import Stored, exists, upload
    from app.config import read_bucket

    bucket = read_bucket()
    stored = Stored.of(address, f"jobyard-{facts.made_at.replace(':', '').replace('-', '')}.tar")
    if exists(bucket, stored):
        raise UserError(f"{stored} exists already: give another name.")
    try:
        with tempfile.TemporaryDirectory(prefix="jobyard-backup-") as made:
            upload(bucket, stored, lambda stream: write(stream, Path(made)))
    except (OSError, SqliteError) as error:
        raise UserError(f"{stored} can't be written: {error}.") from error
    return str(stored)


def _write(settings: Settings, facts: Facts, key_file: Path | None, stream: IO[bytes], made: Path) -> None:
    """Write the archive, the database first: logs only grow, so the copy of them has all that it knows of."""
    from app.backups import archive, postgres

    data = settings.data
    if facts.kind == "sqlite":
        database, name = made / archive.DATABASE, archive.DATABASE
        url = settings.store_url.removeprefix("sqlite:///")
        with closing(connect(url)) as live, closing(connect(database)) as copy:
            live.backup(copy)  # in one step: one moment's state, whoever writes meanwhile
    else:
        database, name = made / archive.DUMP, archive.DUMP
        postgres.dump(settings.store_url, database)
    with archive.Writer(stream, facts) as writer:
        writer.file(database, name)
        database.unlink()
        if key_file is not None:
            writer.file(key_file, archive.KEY)
        for path in sorted((data / archive.LOGS).rglob("*")):
            writer.file(path, str(path.relative_to(data)))


def _facts(settings: Settings, db: Database, *, has_key: bool) -> Facts:
    from app.backups.archive import Facts
    from app.cli.times import rfc3339
    from app.installation import INSTALLATION, openers_of
    from app.store import facts
    from app.store.tables import count_rows, names_of_tables, revision
    from app.system import SystemClock

    with db.read() as tx:
        tables = names_of_tables(tx)
        if "setting" not in tables:
            raise UserError("There is nothing to back up in the database at JOBYARD_DATABASE_URL.")
        return Facts(
            kind="sqlite" if db.is_sqlite else "postgresql",
            made_at=rfc3339(SystemClock().now().replace(microsecond=0)),
            installation=facts.read(tx, INSTALLATION) or "",
            revision=revision(tx),
            openers=openers_of(settings, tx),
            has_key=has_key,
            rows=count_rows(tx, [name for name in COUNTED if name in tables]),
        )


def verify(file: WhereArgument, json: JsonOption = False) -> None:
    """Read a backup to its end and say whether it is whole: every sum, the database, its version and its key.

    Nothing is restored, and no server is needed. Exit status 1 if anything is wrong with it.
    """
    from app.backups import archive, postgres
    from app.cli import output
    from app.cli.restore import open_backup
    from app.store.tables import check_sqlite

    only = frozenset({archive.DATABASE, archive.DUMP, archive.KEY})
    with tempfile.TemporaryDirectory(prefix="jobyard-verify-") as made, open_backup(file) as stream:
        found = archive.unpack(stream, Path(made), only)
        database, dump = Path(made) / archive.DATABASE, Path(made) / archive.DUMP
        if not database.exists() and not dump.exists():
            raise UserError(f"{file} has no database in it: it is no backup of Jobyard.")
        if dump.exists():
            postgres.check(dump)
        else:
            check_sqlite(database)
        told = _judged(found, Path(made) / archive.KEY)
    if json:
        output.print_json({"path": file, "files": found.files, "bytes": found.bytes, **told})
        return
    print(f"{file} is whole: {found.files} files, {found.bytes} bytes.")
    for name, value in told.items():
        print(f"{name}: {value}")


def _judged(found: Unpacked, key_file: Path) -> dict[str, object]:
    """What is said of a backup that is whole. Raises UserError for a version or a key that doesn't fit."""
    from app.secrets import key_id
    from app.store.migrate import revisions

    facts = found.facts
    if facts is None:
        return {"made_at": None, "key": "in it" if key_file.exists() else "kept apart"}
    if facts.revision not in revisions():
        raise UserError(
            f"The backup has revision {facts.revision}, which a later version of Jobyard made: restore it with that."
        )
    if key_file.exists() and key_id(key_file.read_bytes().strip()) not in facts.openers:
        raise UserError("The key in the backup is not the one that its secrets were sealed with.")
    return {
        "made_at": facts.made_at,
        "database": f"{facts.kind}, revision {facts.revision}",
        "rows": ", ".join(f"{count} {table}" for table, count in facts.rows.items()),
        "key": "in it" if facts.has_key else f"kept apart: the one with the id {facts.openers[-1]}",
    }
