"""Commands that run or administer the server on this machine."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from app.cli.first_token import make_token
from app.cli.keys import rotate_key
from app.cli.options import add_command, make_group
from app.domain.errors import UserError
from app.domain.public_url import is_every_address, listening_url


def add_to(cli: typer.Typer) -> None:
    add_command(
        cli,
        "serve",
        serve,
        "jobyard serve",
        "JOBYARD_DATA=/srv/jobyard jobyard serve --host 0.0.0.0 --port 80",
    )
    admin = make_group(
        "The first account and token, and the key of secrets: make an administrator or a token, rotate the key."
    )
    add_command(admin, "create", create_admin, "jobyard admin create", "jobyard admin create --name ada")
    add_command(admin, "link", login_link, "jobyard admin link")
    add_command(
        admin, "token", make_token, "jobyard admin token ci", "jobyard admin token grafana --role viewer"
    )
    add_command(
        admin,
        "rotate-key",
        rotate_key,
        "jobyard admin rotate-key",
        "jobyard admin rotate-key --new-key-file /run/keys/jobyard-2027",
    )
    cli.add_typer(admin, name="admin")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8080,
) -> None:
    """Run the server: webhooks, pages, API, builds and runs."""
    gc.disable()  # what is imported and made until it serves stays: looking through it all again takes a quarter second
    from app.bootstrap.server import open_server
    from app.checkout import find_git
    from app.cli.reference import command_reference
    from app.config import read_settings
    from app.installation import migrate_apart
    from app.runtime.log_format import log_to_stderr
    from app.web.connections import Connections, most_with
    from app.web.http_server import make_server

    settings = read_settings()
    log_to_stderr(settings.log_format)
    find_git()  # before anything is made
    url = listening_url(host, port)
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # uvicorn shuts down and then raises the signal again: this way the blocks around it are left in good order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _listener(host, port) as listener:
        migrate_apart(settings)
        with open_server(settings, url, {"commands": command_reference()}) as app:
            say = logging.getLogger(__name__).info if settings.log_format == "json" else typer.echo
            for line in _greeting(app.state.server, url, host):
                say(line)
            sys.setswitchinterval(0.001)  # the workers' threads hold up an answer for this long at most
            gc.freeze()  # nor is it looked through later: that would hold up answers
            gc.enable()
            server = make_server(app, Connections(most_with(open_files)))
            server.run(sockets=[listener])
            if not server.started:
                raise typer.Exit(1)


def _listener(host: str, port: int) -> socket.socket:
    """Take the address before anything is opened: who can't have it must not leave a half-started server."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]
        message = f"{host or '*'}:{port} can't be listened on ({why}): choose another with --host and --port."
        raise UserError(message) from error


def _greeting(server: object, url: str, host: str) -> Iterator[str]:
    from app.commands.accounts import setup_path
    from app.store import users
    from app.web.server_context import ServerContext

    assert isinstance(server, ServerContext)
    everywhere = is_every_address(host)
    yield f"Jobyard listens on {url}{', and at all addresses of this machine' if everywhere else ''}"
    with server.db.read() as tx:
        has_admin = users.has_admin(tx)
    if not has_admin:
        path = setup_path(server.db, server.clock.now())
        yield f"No administrator yet. Set one up, once, at {server.public_url}{path}"
        if everywhere and not server.is_public_url_set:
            yield "From another machine: the same, with this machine's name in it. JOBYARD_PUBLIC_URL sets that."


def create_admin(
    name: Annotated[
        str | None,
        typer.Option(help="The administrator's name; a password is asked for, or JOBYARD_PASSWORD."),
    ] = None,
    password: Annotated[str | None, typer.Option(envvar="JOBYARD_PASSWORD", hidden=True)] = None,
) -> None:
    """Make an administrator: with a name and password, or else by a set-up address that works once."""
    from app.commands.accounts import make_administrator
    from app.config import read_settings
    from app.domain.audit import COMMAND_LINE, Action
    from app.installation import open_installation
    from app.store.audit_recorder import as_command

    if name is None and password is None:
        login_link()
        return
    if password is None:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    name = name or "admin"
    with (
        open_installation(read_settings()) as installation,
        as_command(Action.INSTALLATION_MAKE_ADMINISTRATOR, COMMAND_LINE, installation.clock.now()),
    ):
        make_administrator(installation.db, name, password, installation.clock.now())
    typer.echo(f"Administrator {name} can log in now.")


def login_link() -> None:
    """Print a link that makes an administrator's account, once, within an hour."""
    from app.commands.accounts import setup_path
    from app.config import read_client_settings, read_settings
    from app.domain.audit import COMMAND_LINE, Action
    from app.installation import open_installation
    from app.store.audit_recorder import as_command

    settings = read_settings()
    with (
        open_installation(settings) as installation,
        as_command(Action.INSTALLATION_SETUP_LINK, COMMAND_LINE, installation.clock.now()),
    ):
        path = setup_path(installation.db, installation.clock.now())
    typer.echo(f"{settings.public_url or read_client_settings().url}{path}")
