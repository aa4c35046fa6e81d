"""Servers that are killed while they migrate: `python -m tests.support.killed_migration URL STEP`.

Each is a process that migrates the database and is killed before its n-th statement, without a word to anybody: n is
STEP, twice STEP, … until one lives long enough to finish. Prints how many were killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import count

import alembic.command  # so that no child has to import it
import sqlalchemy as sa

from app.store.database import Database
from tests.support.project import ROOT


def killed(url: str, step: int) -> int:
    """How many servers were killed before one had migrated the database."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, url, str(step)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    return int(done.stdout)


def _migrate(url: str, statements: int) -> None:
    db, said = Database(url), count(1)

    def listen(*_: object) -> None:
        if next(said) == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(db._writing, "before_cursor_execute", listen)
    db.migrate()
    db.close()


def _is_killed(url: str, statements: int) -> bool:
    pid = os.fork()
    if pid == 0:
        _migrate(url, statements)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status != 0


if __name__ == "__main__":
    assert alembic.command
    print(next(tries for tries in count() if not _is_killed(sys.argv[1], int(sys.argv[2]) * (tries + 1))))
