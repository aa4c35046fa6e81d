"""What the jobs of a project share: credentials, secret groups, build services and notification targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import notification_targets
from app.cli.options import JsonOption, LimitOption, ProjectOption, add_command, make_group
from app.cli.targets import find_project
from app.domain.errors import UserError

if TYPE_CHECKING:
    from app.cli.answers import Json
    from app.cli.client import Api

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
ConfirmOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Its name once more; asked for if not given.")
]


@dataclass(frozen=True)
class Kind:
    """A kind of thing that jobs share: `name` is the command's, `path` the API's; `columns` are what a list shows
    of each.
    """

    name: str
    path: str
    what: str
    columns: Mapping[str, Callable[[Json], Any]]

    @property
    def words(self) -> str:
        return self.name.replace("-", " ")


KINDS = (
    Kind(
        "credential",
        "credentials",
        "Credentials for Git servers and registries: list, apply, delete.",
        {"KIND": lambda it: it["kind"], "HOST": lambda it: it["host"], "USER": lambda it: it["username"]},
    ),
    Kind(
        "secret-group",
        "secret-groups",
        "Variables that several jobs get: list, apply, delete.",
        {
            "PRIORITY": lambda it: it["priority"],
            "VARIABLES": lambda it: ", ".join(it["env"]),
            "JOBS": lambda it: ", ".join(it["jobs"]),
        },
    ),
    Kind(
        "build-service",
        "build-services",
        "Repositories that several jobs are built from: list, apply, delete.",
        {
            "REPOSITORY": lambda it: it["git"]["url"],
            "BRANCH": lambda it: it["git"]["branch"],
            "CI": lambda it: "on" if it["ci_enabled"] else "off",
            "IN FLIGHT": lambda it: it["builds_in_flight"],
            "JOBS": lambda it: ", ".join(it["jobs"]),
        },
    ),
    Kind(
        "target",
        "notification-targets",
        "Who is told what happens: list, apply, delete, test, deliveries.",
        {
            "KIND": lambda it: it["kind"],
            "TOLD OF": lambda it: ", ".join(it["on"]) or "each begin and end",
            "JOBS": lambda it: ", ".join(it["jobs"]) or "all",
        },
    ),
)


def add_to(cli: typer.Typer) -> None:
    for kind in KINDS:
        group = make_group(kind.what)
        begin = f"jobyard {kind.name}"
        add_command(group, "list", _listing(kind), f"{begin} list --project acme")
        add_command(group, "apply", _applying(kind), f"{begin} apply {kind.name}.yaml")
        add_command(group, "delete", _deleting(kind), f"{begin} delete NAME --confirm NAME")
        if kind.name == "target":
            notification_targets.add_commands(group)
        cli.add_typer(group, name=kind.name)


def _listing(kind: Kind) -> Callable[..., None]:
    def list_them(limit: LimitOption = 100, project: ProjectOption = None, json: JsonOption = False) -> None:
        from app.cli import output
        from app.cli.client import open_api, path

        with open_api() as api:
            found = api.items(path("projects", find_project(api, project), kind.path), limit)
        if json:
            output.print_json(found)
            return
        output.print_table(
            ("NAME", *kind.columns),
            [(each["name"], *(show(each) for show in kind.columns.values())) for each in found["items"]],
            f"There are none yet: make one with `jobyard {kind.name} apply FILE`.",
        )

    list_them.__doc__ = f"List the {kind.words}s of a project. Secret values are never shown."
    return list_them


def _applying(kind: Kind) -> Callable[..., None]:
    def apply(file: FileArgument, project: ProjectOption = None, json: JsonOption = False) -> None:
        from app.cli import output
        from app.cli.client import open_api
        from app.cli.files import read_objects

        answers = []
        wanted = read_objects(file, kind.words)
        with open_api() as api:
            owner = find_project(api, project)
            for fields in wanted:
                if not isinstance(fields.get("name"), str):
                    raise UserError(f"Every {kind.words} in the file needs its name as text.")
                answer, what = _apply(api, kind, owner, fields)
                answers.append(answer)
                if not json:
                    print(f"{owner}/{fields['name']} {what}")
                    if fields.get("ssh_key") and answer.get("public_key"):
                        print(answer["public_key"])
        if json:
            output.print_json({"items": answers, "next": None})

    apply.__doc__ = f"Make or change {kind.words}s as a file says: one, a list, or several YAML documents."
    return apply


def _apply(api: Api, kind: Kind, project: str, fields: Json) -> tuple[Any, str]:
    from app.cli.client import ApiError, path

    one = path("projects", project, kind.path, fields["name"])
    try:
        before = api.get(one)
    except ApiError as error:
        if error.status != 404:
            raise
        return api.post(path("projects", project, kind.path), fields), "created"
    after = api.patch(one, fields)
    is_same = after == before and not {"secret", "address"} & set(fields)  # of which the answer says nothing
    return after, "unchanged" if is_same else "changed"


def _deleting(kind: Kind) -> Callable[..., None]:
    def delete(
        name: NameArgument,
        confirm: ConfirmOption = None,
        project: ProjectOption = None,
        json: JsonOption = False,
    ) -> None:
        from app.cli import output
        from app.cli.client import open_api, path

        with open_api() as api:
            owner = find_project(api, project)
            typed = typer.prompt(f"Type {name} to delete it", err=True) if confirm is None else confirm
            api.delete(path("projects", owner, kind.path, name), confirm=typed)
        if json:
            output.print_json({"project": owner, "name": name, "deleted": True})
        else:
            print(f"{owner}/{name} is deleted.")

    delete.__doc__ = f"Delete a {kind.words} that nothing needs any more."
    return delete
