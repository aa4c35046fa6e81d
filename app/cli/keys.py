"""`jobyard admin rotate-key`: another key for all secrets, beside servers that go on working."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.answers import Json
from app.cli.options import JsonOption
from app.domain.errors import Conflict, UserError

if TYPE_CHECKING:
    from app.commands.key_rotation import Resealed
    from app.config import Settings
    from app.installation import Installation
    from app.store.database import Database

WAIT_SECONDS, LOOK_SECONDS = 40.0, 1.0  # heartbeats come every 10 s at the latest


def rotate_key(
    new_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the new key; by default one is made beside the key file."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Take another key for all secrets; servers go on working, and a call that was interrupted is repeated.

    Every sealed value is sealed anew. A key file is replaced, and the old one kept beside it. A key in
    JOBYARD_SECRET_KEY, or behind JOBYARD_SECRET_KEY_COMMAND, is replaced by you: call this again after that. Until
    it is over, both keys open the data. Backups from before open with the old key alone.
    """
    from app.cli import output
    from app.config import read_settings
    from app.domain.audit import COMMAND_LINE, Action
    from app.installation import open_installation
    from app.store.audit_recorder import as_command

    settings = read_settings()
    with (
        open_installation(settings) as installation,
        as_command(Action.INSTALLATION_ROTATE_KEY, COMMAND_LINE, installation.clock.now()),
    ):
        facts = _rotate(settings, installation, new_key_file)
    if json:
        output.print_json(facts)
        return
    rows = ", ".join(f"{count} {table}" for table, count in facts["resealed"].items())
    print(f"Rows sealed anew: {rows or 'none'}.")
    for name in facts["unopened"]:
        output.say(f"A secret of {name} opens with no key and was left as it is: set it again.")
    print(facts["next"])


def _rotate(settings: Settings, installation: Installation, given: Path | None) -> Json:
    from app.commands.key_rotation import finish, openers_now, reseal_all
    from app.installation import operators_key
    from app.secrets import key_id

    db, box = installation.db, installation.box
    key = operators_key(settings, is_sealed=True)
    under_way = openers_now(db)
    done = Resealing()
    if len(under_way) < 2 or under_way[-1] != key_id(key):
        file = settings.key_file.with_name(f"{settings.key_file.name}.new")
        new = _begin(db, key, given, file, is_under_way=len(under_way) > 1)
        box.refresh()
        done.add(reseal_all(db, box))
        if settings.secret_key is not None or settings.secret_key_command is not None:
            return done.facts(_hand_over(settings, file), is_over=False)
        _replace(settings.key_file, file)
        under_way, key = (key_id(key), key_id(new)), new
    box.refresh()
    behind = _servers_behind(installation)
    if behind:
        return done.facts(_still_with_the_old(behind), is_over=False)
    done.add(reseal_all(db, box))
    finish(db, box, key)
    kept = settings.key_file.with_name(f"{settings.key_file.name}.{under_way[0]}")
    return done.facts(_the_end(kept if kept.exists() else None), is_over=True)


@dataclass
class Resealing:
    """What was sealed anew so far, and what could not be."""

    rows: Counter[str] = field(default_factory=Counter)
    unopened: Sequence[str] = ()

    def add(self, done: Resealed) -> None:
        self.rows.update(done.rows)
        self.unopened = done.unopened

    def facts(self, sentence: str, *, is_over: bool) -> Json:
        return {"resealed": dict(self.rows), "unopened": self.unopened, "over": is_over, "next": sentence}


def _begin(db: Database, old: bytes, given: Path | None, file: Path, *, is_under_way: bool) -> bytes:
    """Let the new key, which is in `file` from now on, open the data as well; return it."""
    from app.commands.key_rotation import begin
    from app.secrets import load_or_create_key, make_key_file

    if given is not None and not given.is_file():
        raise UserError(f"There is no file {given}: write the new key to it, or leave --new-key-file out.")
    if given is None and is_under_way and not file.exists():
        raise Conflict(f"A rotation was begun with a key that was in {file}: give it with --new-key-file.")
    try:
        if given is not None:
            make_key_file(file, load_or_create_key(given))
        new = load_or_create_key(file)
    except OSError as error:
        raise UserError(f"{file} can't be written ({error.strerror}).") from error
    if given is not None and load_or_create_key(given) != new:
        raise Conflict(f"{file} holds another key: leave --new-key-file out to take that one, or remove it.")
    begin(db, old, new)
    return new


def _replace(file: Path, new: Path) -> None:
    from app.secrets import replace_key_file

    try:
        replace_key_file(file, new)
    except OSError as error:
        raise UserError(f"{file} can't be replaced by {new} ({error.strerror}).") from error


def _servers_behind(installation: Installation) -> Sequence[str]:
    """The hosts of servers that don't have the new keys yet, after they had time for a heartbeat."""
    import time

    from app.store.claims import keys_of_servers

    until = installation.clock.ticks() + WAIT_SECONDS
    wanted = installation.box.in_use()
    while True:
        with installation.db.read() as tx:
            alive = keys_of_servers(tx, installation.clock.now())
        behind = sorted({host for host, keys in alive if keys != wanted})
        if not behind or installation.clock.ticks() > until:
            return behind
        time.sleep(LOOK_SECONDS)


def _hand_over(settings: Settings, file: Path) -> str:
    name = "JOBYARD_SECRET_KEY" if settings.secret_key is not None else "JOBYARD_SECRET_KEY_COMMAND"
    return (
        f"Both keys open the data now. Let {name} give what is in {file} on every server, restart the servers, and "
        "call `jobyard admin rotate-key` again, with the new key in its environment."
    )


def _still_with_the_old(hosts: Sequence[str]) -> str:
    return (
        f"Both keys open the data now, and servers on {', '.join(hosts)} still have the old one: "
        "give them the new one, restart them, and call `jobyard admin rotate-key` again."
    )


def _the_end(kept: Path | None) -> str:
    where = "" if kept is None else f" It is kept in {kept}: remove that when no such backup is left."
    return f"The old key opens nothing here any more. Backups from before open with it alone.{where}"
