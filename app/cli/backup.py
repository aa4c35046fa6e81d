"""`jobyard backup` and `restore`: the whole data directory in one file, database, key and logs; and what makes a copy
of it, however it was made, an installation of its own."""

from __future__ import annotations

import shutil
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

DATABASE, KEY, LOGS = "jobyard.db", "secret.key", "logs"


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "backup", backup, "jobyard backup /var/backups/jobyard-2026-01-31.tar")
    add_command(
        cli,
        "restore",
        restore,
        "JOBYARD_DATA=/srv/jobyard jobyard restore /var/backups/jobyard-2026-01-31.tar",
    )
    add_command(cli, "new-epoch", new_epoch, "jobyard new-epoch")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A tar file that does not exist yet.")],
    json: JsonOption = False,
) -> None:
    """Copy database, key and logs into one file, also while the server runs.

    The file holds the key that opens all secrets: keep it as safe as the server. Checkouts and images are left out;
    they are made again when needed.
    """
    from app.cli import output
    from app.config import read_settings
    from app.installation import has_content

    settings = read_settings()
    if settings.database_url is not None:
        raise UserError(
            "The database at JOBYARD_DATABASE_URL is backed up with tools of its own, such as pg_dump."
        )
    if not has_content(settings.data / DATABASE):
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
    if json:
        output.print_json({"path": str(file)})
    else:
        print(f"{file} holds database, {'key ' if settings.secret_key is None else ''}and logs.")
    if settings.secret_key is not None:
        typer.echo("JOBYARD_SECRET_KEY is not in it: keep it elsewhere, or no secret opens again.", err=True)


def _parent(file: Path) -> Path:
    if not file.parent.is_dir():
        raise UserError(f"There is no directory {file.parent}.")
    return file.parent


def _pack(tar: Path, database: Path, data: Path) -> None:
    """Pack the database first: logs only grow, so the copy of them has all that the database knows of."""
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
    """Fill an empty data directory from a backup, and say what of the time after it the engine still has.

    Nothing of that is touched, so that a backup can be tried beside the server it is of: containers and images of the
    restored one have names of their own (a new epoch). The first start ends the runs that were alive then, which are
    tried again if their jobs have retries left, and goes to work on what waited.
    """
    from app.cli.epochs import begin, report
    from app.config import read_settings
    from app.domain.audit import Action
    from app.installation import has_content

    settings = read_settings()
    data = settings.data.resolve()
    if settings.database_url is not None:
        raise UserError(
            "The database at JOBYARD_DATABASE_URL is restored with tools of its own, such as pg_restore: "
            "call `jobyard new-epoch` after that."
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
            for member, name in _members(archive):
                _unpack(archive, member, filled / name)
            if not has_content(filled / DATABASE):
                raise UserError(f"{file} has no {DATABASE} in it: it is no backup of Jobyard.")
            epoch = begin(f"sqlite:///{filled / DATABASE}", Action.INSTALLATION_RESTORE)
            if data.exists():
                data.rmdir()
            filled.rename(data)
    except (OSError, tarfile.TarError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{file} can't be restored: {reason}.") from error
    report(
        settings, epoch, {"path": str(data)}, f"{data} is filled; start it with `jobyard serve`.", json=json
    )


def new_epoch(json: JsonOption = False) -> None:
    """Say that this data has become a copy by other means than `restore`, before a server works on it.

    Call it after pg_restore, and in a data directory that was copied by hand from one which is still in use: without,
    the two would take each other's containers and images for their own. In a directory that has only moved it is not
    needed, and would end the runs that are alive.
    """
    from app.cli.epochs import begin, report
    from app.config import read_settings
    from app.domain.audit import Action
    from app.installation import only_server, open_installation
    from app.store import epochs

    settings = read_settings()
    with open_installation(settings) as installation:
        is_sqlite = installation.db.is_sqlite
        with installation.db.read() as tx:
            alive = epochs.servers_alive(tx, installation.clock.now())
    if alive and not is_sqlite:
        raise UserError(
            f"A server on {alive[0]} was at work on this database within the last 30 s: stop it first, or wait."
        )
    with only_server(settings, is_sqlite=is_sqlite):
        epoch = begin(settings.store_url, Action.INSTALLATION_NEW_EPOCH)
    said = "A new epoch has begun here; start the server with `jobyard serve`."
    report(settings, epoch, {}, said, json=json)


def _members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Return the archive's files, each with its place below the data directory. Raises UserError for anything else."""
    for member in archive:
        name = PurePosixPath(member.name)
        if member.isdir() and name.parts[:1] in ((), (LOGS,)) and ".." not in name.parts:
            continue  # made with the files in it
        if not member.isfile() or not (name.parts in ((DATABASE,), (KEY,)) or _is_below_logs(name)):
            raise UserError(
                f"The backup has {member.name!r}, which no backup of Jobyard has: nothing was restored."
            )
        yield member, name


def _is_below_logs(name: PurePosixPath) -> bool:
    return name.parts[:1] == (LOGS,) and len(name.parts) > 1 and ".." not in name.parts


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write the bytes alone: modes, owners and times of the archive are not taken over, and no file is written
    twice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = archive.extractfile(member)
    assert packed is not None, "a regular file"
    with packed, path.open("xb") as file:
        shutil.copyfileobj(packed, file)
    path.chmod(0o600)
