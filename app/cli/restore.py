"""`jobyard restore`: an empty installation is filled from a backup, and is one of its own from then on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import JsonOption, add_command
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.backups.archive import Facts
    from app.config import Settings


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "restore",
        restore,
        "JOBYARD_DATA=/srv/jobyard jobyard restore /var/backups/jobyard-2026-01-31.tar",
        "JOBYARD_DATA=/srv/drill jobyard restore s3://backups/jobyard/2026-01-31.tar",
    )


def restore(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What `jobyard backup` made: a file, or s3://BUCKET/NAME.")
    ],
    drill: Annotated[
        bool,
        typer.Option(
            "--drill", help="Its server only shows what there is, until `jobyard new-epoch` is called."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Fill an empty data directory from a backup, and say what of the time after it the engine still has.

    Nothing of that is touched, so that a backup can be tried beside the server it is of: containers and images of the
    restored one have names of their own (a new epoch). The first start ends the runs that were alive then, which are
    tried again if their jobs have retries left, and goes to work on what waited; with --drill it starts no loop, and
    nothing is built, run, sent or removed. A database on PostgreSQL has to be empty as well.
    """
    from app.backups import archive
    from app.cli.epochs import begin, report
    from app.commands.backups import open_backup
    from app.config import read_bucket, read_settings
    from app.domain.audit import Action

    settings = read_settings()
    data = settings.data.resolve()
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise UserError(
            f"{data} is not empty: set JOBYARD_DATA to a new directory, or move the old one away."
        )
    if settings.database_url is not None:
        _require_empty(settings)
    data.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data.parent) as made:
        filled = Path(made) / "data"
        filled.mkdir(mode=0o700)
        with open_backup(file, read_bucket()) as stream:
            found = archive.unpack(stream, filled)
        url = _load(settings, filled, file)
        try:
            epoch = begin(url, Action.INSTALLATION_RESTORE, is_drill=drill)
            if data.exists():
                data.rmdir()
            filled.rename(data)
        except OSError as error:
            raise UserError(f"{file} can't be restored: {error}.") from error
    sentence = f"{data} is filled; start it with `jobyard serve`."
    if not (data / archive.KEY).exists() and settings.secret_key is None:
        sentence += _without_key(settings, found.facts)
    report(settings, epoch, {"path": str(data)}, sentence, json=json)


def _load(settings: Settings, filled: Path, file: str) -> str:
    """Bring the database to where the settings want it; return its URL. Raises UserError."""
    from app.backups import archive, postgres
    from app.installation import has_content

    database, dump = filled / archive.DATABASE, filled / archive.DUMP
    if dump.exists():
        if settings.database_url is None or settings.store_url.startswith("sqlite"):
            raise UserError(
                f"{file} is of a database on PostgreSQL: set JOBYARD_DATABASE_URL to an empty one."
            )
        postgres.load(settings.store_url, dump)
        dump.unlink()
        return settings.store_url
    if not has_content(database):
        raise UserError(f"{file} has no {archive.DATABASE} in it: it is no backup of Jobyard.")
    if settings.database_url is not None:
        raise UserError(f"{file} is of a database on SQLite: unset JOBYARD_DATABASE_URL.")
    return f"sqlite:///{database}"


def _require_empty(settings: Settings) -> None:
    from app.store.database import Database
    from app.store.tables import names_of_tables

    db = Database(settings.store_url)
    try:
        with db.read() as tx:
            tables = names_of_tables(tx)
    finally:
        db.close()
    if tables:
        raise UserError(
            f"The database at JOBYARD_DATABASE_URL is not empty, it has the table {tables[0]}: make a new one with "
            "createdb, and set JOBYARD_DATABASE_URL to that."
        )


def _without_key(settings: Settings, facts: Facts | None) -> str:
    which = "" if facts is None else f" (the one with the id {facts.openers[-1]})"
    return f" The backup has no key: before that, put it{which} into {settings.key_file}, or set JOBYARD_SECRET_KEY."
