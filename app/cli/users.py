"""Users: who may log in, and what each may do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli.answers import Json
from app.cli.options import JsonOption, LimitOption, add_command, make_group
from app.cli.targets import complete_projects
from app.cli.tokens import RoleName
from app.domain.errors import NotFound

UserArgument = Annotated[str, typer.Argument(metavar="NAME", help="The user's name, e-mail address or id.")]
InProject = Annotated[
    str | None,
    typer.Option(
        "--project", "-p", help="In this project; in all if left out.", autocompletion=complete_projects
    ),
]


def add_to(cli: typer.Typer) -> None:
    user = make_group("Users: invite, give rights, disable, reset, link, remove.")
    add_command(
        user,
        "add",
        add_user,
        "jobyard user add grace --role operator --project acme",
        "jobyard user add ada --email ada@example.com --role admin",
    )
    add_command(user, "list", list_users, "jobyard user list")
    add_command(user, "show", show_user, "jobyard user show grace")
    add_command(
        user, "grant", grant, "jobyard user grant grace viewer", "jobyard user grant grace admin -p acme"
    )
    add_command(user, "revoke", revoke, "jobyard user revoke grace --project acme")
    add_command(user, "disable", disable, "jobyard user disable grace")
    add_command(user, "enable", enable, "jobyard user enable grace")
    add_command(user, "reset", reset, "jobyard user reset grace")
    add_command(user, "link", link, "jobyard user link grace 248289761001")
    add_command(user, "unlink", unlink, "jobyard user unlink grace")
    add_command(user, "remove", remove, "jobyard user remove grace")
    cli.add_typer(user, name="user")


def add_user(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    email: Annotated[str | None, typer.Option(help="May be used to log in, too.")] = None,
    role: Annotated[RoleName, typer.Option(help="What the user may do.")] = RoleName.VIEWER,
    project: InProject = None,
    json: JsonOption = False,
) -> None:
    """Invite somebody. The link that is printed lets them choose a password, once, within a week."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        made = api.post("/users", {"name": name, "email": email, "role": role.value, "project": project})
    if json:
        output.print_json(made)
        return
    print(made["link"])
    output.say(f"Give it to {made['name']}: it is not shown again, and works once.")


def list_users(limit: LimitOption = 100, json: JsonOption = False) -> None:
    """List users with their roles."""
    from app.cli import output
    from app.cli.client import open_api

    with open_api() as api:
        found = api.items("/users", limit)
    if json:
        output.print_json(found)
        return
    output.print_table(
        ("ID", "NAME", "E-MAIL", "STATUS", "ROLES"),
        [
            (each["id"], each["name"], each["email"] or "", each["status"], _roles(each))
            for each in found["items"]
        ],
        "There are no users yet: invite one with `jobyard user add NAME`.",
    )


def show_user(user: UserArgument, json: JsonOption = False) -> None:
    """Show a user: roles, and the browsers that are logged in."""
    from app.cli import output
    from app.cli.client import open_api, path
    from app.cli.times import now, when

    with open_api() as api:
        found = _named(api, user)
        sessions = api.get(path("users", found["id"], "sessions"))["items"]
    if json:
        output.print_json({**found, "sessions": sessions})
        return
    print(f"{found['name']} ({found['status']}){': ' + found['email'] if found['email'] else ''}")
    print(f"Roles: {_roles(found)}")
    at = now()
    output.print_table(
        ("FROM", "BROWSER", "BEGUN", "LAST SEEN"),
        [
            (
                each["address"],
                each["browser"][:60],
                when(each["created_at"], at),
                when(each["last_seen_at"], at),
            )
            for each in sessions
        ],
        "No browser is logged in.",
    )


def grant(
    user: UserArgument,
    role: Annotated[RoleName, typer.Argument(metavar="ROLE", help="viewer, operator or admin.")],
    project: InProject = None,
    json: JsonOption = False,
) -> None:
    """Give a role in a project, or in all, in place of the one there."""
    _change(user, "grant", {"role": role.value, "project": project}, json=json)


def revoke(user: UserArgument, project: InProject = None, json: JsonOption = False) -> None:
    """Take the role in a project, or that in all. The user's sessions end."""
    _change(user, "revoke", {"project": project}, json=json)


def disable(user: UserArgument, json: JsonOption = False) -> None:
    """Disable a user: nobody logs in to the account, and its sessions end at once."""
    _change(user, "disable", {}, json=json)


def enable(user: UserArgument, json: JsonOption = False) -> None:
    """Enable a user again, with the password and the roles that they had."""
    _change(user, "enable", {}, json=json)


def reset(user: UserArgument, json: JsonOption = False) -> None:
    """Print a link where the user chooses a new password, once, within a day."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        made = api.post(path("users", _named(api, user)["id"], "reset"))
    if json:
        output.print_json(made)
    else:
        print(made["link"])


def link(
    user: UserArgument,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="What the identity provider calls the user: sub in its tokens."
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Let a user in by the identity provider, with the roles that it gives from then on."""
    _change(user, "link", {"subject": subject}, json=json)


def unlink(user: UserArgument, json: JsonOption = False) -> None:
    """Know a user by the identity provider no more. Their sessions end."""
    _change(user, "unlink", {}, json=json)


def remove(user: UserArgument, json: JsonOption = False) -> None:
    """Remove a user with their sessions. What they did stays under their name."""
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        found = _named(api, user)
        api.delete(path("users", found["id"]), confirm=found["name"])
    if json:
        output.print_json(found)
    else:
        print(f"User {found['name']} is removed.")


def _change(user: str, what: str, body: Json, *, json: bool) -> None:
    from app.cli import output
    from app.cli.client import open_api, path

    with open_api() as api:
        changed = api.post(path("users", _named(api, user)["id"], what), dict(body))
    if json:
        output.print_json(changed)
    else:
        print(f"{changed['name']} ({changed['status']}): {_roles(changed)}")


def _named(api: Any, user: str) -> Json:
    for each in api.each("/users"):
        if user in (each["name"], each["email"], str(each["id"])):
            return dict(each)
    raise NotFound(f"There is no user {user}: `jobyard user list` shows who there is.")


def _roles(user: Json) -> str:
    return ", ".join(f"{each['role']} ({each['project'] or 'all'})" for each in user["grants"]) or "none"
