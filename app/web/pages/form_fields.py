"""Between values as the API gives and takes them and the text fields of a page. What is right is the API's to say.

A field of a page has the API's path as its name; variables are rows (`env.0.name`, `env.0.value` …). A text that is
as it was shown keeps the stored value, so that nothing changes by being looked at. Secrets are never shown: an empty
text keeps what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.documents import Json
from app.domain.errors import InvalidValue
from app.web.texts import LINES, NUMBER, OPTIONAL, SECRET, SWITCH, TEXT, Kind

ABSENT: Any = object()
_ROW = re.compile(r"env\.([0-9]{1,6})\.name")


Fields = Mapping[str, Kind]
GIT: Fields = {
    "url": TEXT,
    "branch": TEXT,
    "credential": OPTIONAL,
    "webhook_secret": SECRET,
    "submodules": SWITCH,
    "lfs": SWITCH,
    "tags": OPTIONAL,
    "pull_requests": SWITCH,
}
BUILD: Fields = {
    "mode": TEXT,
    "root_directory": TEXT,
    "dockerfile": TEXT,
    "target": OPTIONAL,
    "install_command": OPTIONAL,
    "build_command": OPTIONAL,
    "run_command": OPTIONAL,
    "time_limit_seconds": NUMBER,
    "paths": LINES,
    "paths_mode": TEXT,
    "commit_flags": LINES,
}


def below(path: str, fields: Fields) -> Fields:
    """The same fields as parts of an object."""
    return {f"{path}.{name}": kind for name, kind in fields.items()}


def texts(form: Json, fields: Fields) -> dict[str, str]:
    """The texts of the fields by their names, as far as `form` has them."""
    found = {name: value_at(form, name) for name in fields}
    return {name: fields[name].show(value) for name, value in found.items() if value is not ABSENT}


def patch_of(form: Json, fields: Fields, given: Mapping[str, str]) -> Json:
    """What was typed into the fields, as the API takes it."""
    patch: Json = {}
    for name, kind in fields.items():
        put(patch, name, value_of(kind, value_at(form, name), given.get(name, "")))
    return patch


def value_of(kind: Kind, stored: Any, text: str) -> Any:
    """The value that a text stands for."""
    kept = stored is not ABSENT and kind is not SECRET and text == as_sent(kind.show(stored))
    return stored if kept else kind.read(text)


def value_at(form: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(form, Mapping) or part not in form:
            return ABSENT
        form = form[part]
    return form


def put(patch: Json, path: str, value: Any) -> None:
    *above, last = path.split(".")
    for part in above:
        patch = patch.setdefault(part, {})
    patch[last] = value


def as_sent(text: str) -> str:
    """A text as it comes back from a browser's text area."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True)
class Row:
    """A variable as it is typed. `is_stored` says that a secret has a value already; with an `origin` other than
    `value` that is where it is read from.
    """

    name: str = ""
    value: str = ""
    secret: bool = False
    scope: str = "run"
    is_stored: bool = False
    origin: str = "value"

    @property
    def is_hidden(self) -> bool:
        """Whether its text is not shown again."""
        return self.secret and self.origin == "value"


def stored_rows(env: Json) -> list[Row]:
    return [_row(name, entry) for name, entry in sorted(env.items())]


def _row(name: str, entry: Any) -> Row:
    if isinstance(entry, str):
        return Row(name, entry)
    secret, scope = bool(entry.get("secret")), entry.get("scope", "run")
    if "from" in entry:
        return Row(name, place_of(entry), secret, scope, origin=entry["from"])
    return Row(name, "" if secret else entry["value"], secret, scope, secret)


def place_of(entry: Json) -> str:
    """Where a secret is kept, as it is typed: a path, a name, or `PATH#KEY`."""
    where: str = entry["name"] if entry["from"] == "env" else entry["path"]
    return f"{where}#{entry['key']}" if entry["from"] == "vault" else where


def reference_of(origin: str, where: str) -> Json:
    """The fields that say where a secret is kept, of what was typed as `place_of` shows it."""
    path, _, key = where.strip().partition("#")
    match origin:
        case "env":
            return {"name": where.strip()}
        case "vault":
            return {"path": path, "key": key}
        case _:
            return {"path": where.strip()}


def rows_of(form: Mapping[str, Sequence[str]], stored: Json) -> list[Row]:
    """The variables as they were typed, in their order."""
    found = sorted(int(match[1]) for name in form if (match := _ROW.fullmatch(name)))

    def text(number: int, part: str) -> str:
        return (form.get(f"env.{number}.{part}") or [""])[0]

    rows = []
    for number in found:
        name = text(number, "name").strip()
        entry = stored.get(name)
        is_stored = isinstance(entry, dict) and bool(entry.get("secret")) and "from" not in entry
        secret, scope = bool(text(number, "secret")), text(number, "scope") or "run"
        origin = text(number, "from") or "value"
        rows.append(Row(name, text(number, "value"), secret, scope, is_stored, origin))
    return [row for row in rows if row.name or row.value]


def to_retype(rows: Sequence[Row]) -> list[str]:
    """Secrets whose new values are not shown again."""
    return [row.name for row in rows if row.is_hidden and row.value]


def env_of(stored: Json, rows: Sequence[Row]) -> Json:
    """What was typed, as a patch: variables without a row are deleted.

    Raises InvalidValue for variables that no JSON object could hold.
    """
    env: Json = dict.fromkeys(stored)
    for row in rows:
        if not row.name:
            raise InvalidValue("env", "env: a value has no name: name it, or empty it.")
        if sum(each.name == row.name for each in rows) > 1:
            raise InvalidValue(f"env.{row.name}", f"env.{row.name} is given twice: keep one of them.")
        if row.origin != "value":
            env[row.name] = {"from": row.origin, **reference_of(row.origin, row.value), "scope": row.scope}
            continue
        before = _row(row.name, stored[row.name]) if row.name in stored else Row()
        value: str | None = row.value
        if not row.value and (row.secret or before.secret):
            value = None  # the API keeps a secret that stays one, and asks for the text of one that does not
        elif not before.secret and row.value == as_sent(before.value):
            value = before.value
        env[row.name] = {"from": "value", "value": value, "secret": row.secret, "scope": row.scope}
    return env
