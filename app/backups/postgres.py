"""PostgreSQL's own tools: a dump of one moment, and its way back into an empty database.

They are told where the database is by a service file that only this user can read, as the arguments and variables of a
process can be seen by others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg.conninfo import conninfo_to_dict

from app.domain.errors import UserError

SERVICE = "jobyard"
HOURS = 12 * 3600.0  # the longest that a dump may take, in seconds


def dump(url: str, file: Path) -> None:
    """Write the database as it is at one moment, in pg_dump's own format. Raises UserError."""
    _call("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={file}")


def load(url: str, file: Path) -> None:
    """Fill an empty database from a dump, all of it or nothing. Raises UserError."""
    _call(
        "pg_restore",
        url,
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
        str(file),
    )


def check(file: Path) -> None:
    """Raises UserError unless the file is a dump whose contents can be listed."""
    done = subprocess.run(
        [_tool("pg_restore"), "--list", str(file)], capture_output=True, text=True, timeout=HOURS, check=False
    )
    if done.returncode != 0:
        raise UserError(f"The dump in the backup can't be read: {_first_line(done.stderr)}")


def _call(program: str, url: str, *arguments: str) -> None:
    tool = _tool(program)
    with _service(url) as environment:
        done = subprocess.run(
            [tool, f"--dbname=service={SERVICE}", "--no-password", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HOURS,
            check=False,
        )
    if done.returncode != 0:
        raise UserError(f"{program} could not do it: {_first_line(done.stderr)}")


def _tool(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise UserError(
            f"There is no {program} here, which a database on PostgreSQL is backed up and restored with: install the "
            "package postgresql-client, of the server's version or a later one."
        )
    return found


@contextmanager
def _service(url: str) -> Iterator[dict[str, str]]:
    """The environment of a tool that knows the database as a service."""
    settings = conninfo_to_dict(url)
    lines = [f"[{SERVICE}]", *(f"{name}={value}" for name, value in settings.items() if value is not None)]
    with TemporaryDirectory(prefix="jobyard-pg-") as folder:  # which others can't look into
        file = Path(folder) / "service.conf"
        file.touch(mode=0o600)
        file.write_text("\n".join(lines) + "\n")
        yield {"PATH": os.defpath, "LC_ALL": "C", "PGSERVICEFILE": str(file)}


def _first_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = lines[0] if lines else "it did not say why"
    return f"{text.partition(': ')[2] or text}".rstrip(".") + "."
