"""`jobyard new-epoch`: what makes a copy of an installation, however it was made, one of its own."""

from __future__ import annotations

import typer

from app.cli.options import JsonOption, add_command
from app.domain.errors import UserError


def add_to(cli: typer.Typer) -> None:
    add_command(cli, "new-epoch", new_epoch, "jobyard new-epoch")


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
    from app.store.claims import DEAD_AFTER

    settings = read_settings()
    with open_installation(settings) as installation:
        is_sqlite = installation.db.is_sqlite
        with installation.db.read() as tx:
            alive = epochs.servers_alive(tx, installation.clock.now())
    if alive and not is_sqlite:
        raise UserError(
            f"A server on {alive[0]} was at work on this database within the last {DEAD_AFTER.seconds} s: "
            "stop it first, or wait."
        )
    with only_server(settings, is_sqlite=is_sqlite):
        epoch = begin(settings.store_url, Action.INSTALLATION_NEW_EPOCH)
    said = "A new epoch has begun here; start the server with `jobyard serve`."
    report(settings, epoch, {}, said, json=json)
