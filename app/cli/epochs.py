"""A new epoch for a copy of an installation's data, and what the engine has from before."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from app.cli import output
from app.cli.times import rfc3339
from app.domain.errors import JobyardError

if TYPE_CHECKING:
    from app.config import Settings
    from app.domain.audit import Action
    from app.engines.base import Owned

_REMOVE = {"docker": "rm --force", "swarm": "service rm"}  # of engines that the docker CLI speaks with
FACTS = ("project", "job", "run", "attempt")  # each in a label


class Epoch(NamedTuple):
    installation: str
    name: str


def begin(store_url: str, action: Action, *, is_drill: bool = False) -> Epoch:
    """Begin a new epoch. Raises UserError if a server works on the data, or a newer Jobyard has."""
    from app.domain.audit import COMMAND_LINE
    from app.installation import begin_epoch
    from app.store.audit_recorder import as_command
    from app.store.database import Database
    from app.system import SystemClock

    db = Database(store_url)
    try:
        db.migrate()
        with as_command(action, COMMAND_LINE, SystemClock().now()):
            return Epoch(*begin_epoch(db, is_drill=is_drill))
    finally:
        db.close()


def report(
    settings: Settings, epoch: Epoch, facts: Mapping[str, object], sentence: str, *, json: bool
) -> None:
    """Say what was done, and what the engine has from before: names, whose they are, since when, how to end them."""
    from app.bootstrap.engine import of_other_epochs

    try:
        found, silence = of_other_epochs(settings, *epoch), None
    except JobyardError as error:
        found, silence = (), str(error)
    items = [_item(each) for each in found]
    if json:
        output.print_json({**facts, "epoch": epoch.name, "containers": items, "engine": silence})
        return
    print(sentence)
    if silence is not None:
        output.say(
            f"Whether the engine has containers from before is not known: {silence} They carry the label "
            f"jobyard.installation={epoch.installation}, and stay untouched."
        )
    elif not items:
        print("The engine has no containers from before.")
    else:
        _print_found(settings, items)


def _item(found: Owned) -> dict[str, str | None]:
    told = {name: found.labels.get(f"jobyard.{name}") for name in FACTS}
    since = None if found.created_at is None else rfc3339(found.created_at)
    return {"name": found.handle.name, "state": str(found.state), **told, "created_at": since}


def _print_found(settings: Settings, items: Sequence[Mapping[str, str | None]]) -> None:
    alive = [item for item in items if item["state"] == "running"]
    print(
        f"The engine has containers from before: {len(items)}, of which {len(alive)} run. They stay untouched; a "
        "server that works on the other copy of the data looks after them."
    )
    columns = ("name", "state", "project", "job", "run", "created_at")
    rows = [[item[column] for column in columns] for item in items]
    output.print_table(("CONTAINER", "STATE", "PROJECT", "JOB", "RUN", "SINCE"), rows, "")
    if remove := _REMOVE.get(settings.engine):
        docker = shlex.join(("docker", *settings.docker_options))
        names = " ".join(str(item["name"]) for item in items)
        print(f"If there is no such server, end and remove them: {docker} {remove} {names}")
