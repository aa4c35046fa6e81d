"""`jobyard backup`: database, logs and key in one archive, in a file or a bucket; and whether one is whole."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.lazy import Group
from app.cli.options import JsonOption, add_command, help_of, show_examples
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.commands.backups import Write

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
    from app.commands import backups
    from app.config import read_settings
    from app.installation import backup_source, has_content
    from app.store.database import Database
    from app.system import SystemClock

    settings = read_settings()
    if with_key and without_key:
        raise UserError("--with-key and --without-key can't be given together.")
    if settings.database_url is None and not has_content(settings.data / "jobyard.db"):
        raise UserError(f"There is nothing to back up in {settings.data.resolve()}: set JOBYARD_DATA.")
    is_in_bucket = file.startswith("s3://")
    wants_key = (with_key or not is_in_bucket) and not without_key
    db = Database(settings.store_url)  # of whatever version: nothing is migrated by this
    try:
        source = backup_source(settings, db, with_key=wants_key)
        of = source.facts(SystemClock().now())
        write = partial(source.write, of)
        if is_in_bucket:
            where = _to_bucket(file, of.made_at, write)
        else:
            backups.to_file(Path(file), write)
            where = file
    finally:
        db.close()
    key_file = source.key_file
    if json:
        output.print_json({"path": where, "has_key": key_file is not None})
    else:
        print(f"{where} holds {'database, key and logs' if key_file else 'database and logs'}.")
    if key_file is None:
        named = "JOBYARD_SECRET_KEY" if settings.secret_key is not None else "The key"
        typer.echo(f"{named} is not in it: keep it elsewhere, or no secret opens again.", err=True)


def _to_bucket(address: str, made_at: str, write: Write) -> str:
    from app.buckets import Stored
    from app.commands.backups import to_bucket
    from app.config import read_bucket

    stored = Stored.of(address, f"jobyard-{made_at.replace(':', '').replace('-', '')}.tar")
    to_bucket(read_bucket(), stored, write)
    return str(stored)


def verify(file: WhereArgument, json: JsonOption = False) -> None:
    """Read a backup to its end and say whether it is whole: every sum, the database, its version and its key.

    Nothing is restored, and no server is needed. Exit status 1 if anything is wrong with it.
    """
    from app.cli import output
    from app.commands import backups
    from app.config import read_bucket

    found, told = backups.verify(file, read_bucket())
    if json:
        output.print_json({"path": file, "files": found.files, "bytes": found.bytes, **told})
        return
    print(f"{file} is whole: {found.files} files, {found.bytes} bytes.")
    for name, value in told.items():
        print(f"{name}: {value}")
