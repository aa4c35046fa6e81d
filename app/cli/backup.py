"""`jobyard backup` and `restore`: the whole data directory in one file, database, key and logs."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from sqlite3 import Error as SqliteError
from sqlite3 import connect
from typing import Annotated

import typer

from app.cli.options import JsonOption, add_command
from app.domain.errors import UserError

PANEL = "The server's own machine"
DATABASE, KEY, LOGS = "jobyard.db", "secret.key", "logs"


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "backup", backup, "jobyard backup /var/backups/jobyard-2026-01-31.tar", panel=PANEL)
    add_command(
        cli,
        "restore",
        restore,
        "JOBYARD_DATA=/srv/jobyard jobyard restore /var/backups/jobyard-2026-01-31.tar",
        panel=PANEL,
    )


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A tar file that does not exist yet.")],
    json: JsonOption = False,
) -> None:
    """Copy database, key and logs into one file, also while the server runs.

    The file holds the key that opens all secrets: keep it as safe as the server. Checkouts and images are left out;
    they are made again when needed.
    """
    from app.config import read_settings

    settings = read_settings()
    if settings.database_url is not None:
        raise UserError(
            "The database at JOBYARD_DATABASE_URL is backed up with tools of its own, such as pg_dump."
        )
    if not (settings.data / DATABASE).is_file():
        raise UserError(f"There is nothing to back up in {settings.data.resolve()}: set JOBYARD_DATA.")
    if file.exists():
        raise UserError(f"{file} exists already: give the name of a new file.")
    try:
        with tempfile.TemporaryDirectory(prefix="jobyard-backup-", dir=_parent(file)) as made:
            copy, tar = Path(made) / DATABASE, Path(made) / "backup.tar"
            with closing(connect(settings.data / DATABASE)) as live, closing(connect(copy)) as target:
                live.backup(target)  # in one step: one moment's state, whoever writes meanwhile
            _pack(tar, copy, settings.data)
            tar.chmod(0o600)
            tar.rename(file)
    except (OSError, SqliteError) as error:
        raise UserError(f"{file} can't be written: {error}.") from error
    _report(file, f"{file} holds database, {'key ' if settings.secret_key is None else ''}and logs.", json)
    if settings.secret_key is not None:
        typer.echo("JOBYARD_SECRET_KEY is not in it: keep it elsewhere, or no secret opens again.", err=True)


def _parent(file: Path) -> Path:
    if not file.parent.is_dir():
        raise UserError(f"There is no directory {file.parent}.")
    return file.parent


def _pack(tar: Path, database: Path, data: Path) -> None:
    """The database first: logs only grow, so the copy of them has all that the database knows of."""
    with tarfile.open(tar, "w") as archive:
        archive.add(database, DATABASE)
        for path in [data / KEY, *sorted((data / LOGS).rglob("*"))]:
            try:
                with path.open("rb") as opened:
                    archive.addfile(
                        archive.gettarinfo(arcname=str(path.relative_to(data)), fileobj=opened), opened
                    )
            except (FileNotFoundError, IsADirectoryError):
                continue  # retention took it meanwhile, or it comes with what is in it


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `jobyard backup` made.")],
    json: JsonOption = False,
) -> None:
    """Fill an empty data directory from a backup. Runs that were alive then are settled by the first start."""
    from app.config import read_settings

    settings = read_settings()
    data = settings.data.resolve()
    if settings.database_url is not None:
        raise UserError(
            "The database at JOBYARD_DATABASE_URL is restored with tools of its own, such as pg_restore."
        )
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise UserError(
            f"{data} is not empty: set JOBYARD_DATA to a new directory, or move the old one away."
        )
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(file) as archive, tempfile.TemporaryDirectory(dir=data.parent) as made:
            filled = Path(made) / "data"
            filled.mkdir(mode=0o700)
            archive.extractall(filled, list(_members(archive)), filter="data")
            if not (filled / DATABASE).is_file():
                raise UserError(f"{file} has no {DATABASE} in it: it is no backup of Jobyard.")
            if (filled / KEY).exists():
                (filled / KEY).chmod(0o600)
            if data.exists():
                data.rmdir()
            filled.rename(data)
    except (OSError, tarfile.TarError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{file} can't be restored: {reason}.") from error
    _report(data, f"{data} is filled; start it with `jobyard serve`.", json)


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        first = PurePosixPath(member.name).parts[:1]
        if not member.isfile() or first not in ((DATABASE,), (KEY,), (LOGS,)):
            raise UserError(
                f"The backup has {member.name}, which no backup of Jobyard has: nothing was restored."
            )
        yield member


def _report(path: Path, sentence: str, json: bool) -> None:
    from app.cli import output

    if json:
        output.print_json({"path": str(path)})
    else:
        print(sentence)
