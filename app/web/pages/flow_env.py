"""The variables that a flow's run has otherwise, as lines of text: plain ones, secrets, and those kept elsewhere.

A line is `NAME=value`; one that begins with a space goes on with the value above, after a line break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from app.domain.documents import Json
from app.domain.errors import InvalidValue
from app.web.pages.form_fields import as_sent, place_of, reference_of

KEPT: Final = "***"  # a secret that is there already, in place of its value
PLAIN, SECRETS, ELSEWHERE = "env", "secrets", "elsewhere"
_ORIGINS: Final = ("file", "env", "vault")


def shown_env(env: Json) -> dict[str, str]:
    """The texts of the fields, by their names."""
    plain = [_line(name, value) for name, entry in env.items() if (value := _plain(entry)) is not None]
    unset = [name for name, entry in env.items() if entry is None]
    hidden = [_line(name, KEPT) for name, entry in env.items() if _is_hidden(entry)]
    elsewhere = [_line(name, _where(entry)) for name, entry in env.items() if _is_elsewhere(entry)]
    fields = {PLAIN: [*plain, *unset], SECRETS: hidden, ELSEWHERE: elsewhere}
    return {field: "\n".join(lines) for field, lines in fields.items()}


def typed_env(texts: Mapping[str, str], before: Json, field_of: Callable[[str], str]) -> Json:
    """What was typed, as the API takes it; what is as it was shown is as it was, and so is what no line can say.

    Raises InvalidValue at `field_of` the field for a variable that is given twice, has no value, or is from nowhere.
    """
    env: Json = {name: entry for name, entry in before.items() if not _has_line(entry)}
    typed: set[str] = set()
    for field, read in ((PLAIN, _read_plain), (SECRETS, _read_secret), (ELSEWHERE, _read_elsewhere)):
        for name, value in _entries(texts.get(field, "")):
            try:
                if name in typed:
                    raise ValueError(f"{name} is given twice: keep one of its lines.")
                env[name] = read(name, value, before.get(name))
            except ValueError as error:
                raise InvalidValue(field_of(field), str(error)) from None
            typed.add(name)
    return env


def secrets_shown(text: str) -> str:
    """The lines of secrets without the values that were just typed."""
    return "\n".join(_line(name, KEPT if value == KEPT else "") for name, value in _entries(text))


def secrets_typed(text: str) -> list[str]:
    """The names of the secrets that were given a value."""
    return [name for name, value in _entries(text) if value not in (None, "", KEPT)]


def _entries(text: str) -> Iterator[tuple[str, str | None]]:
    """Each name with its value, or None where it has no equals sign."""
    found: list[tuple[str, str | None]] = []
    for line in as_sent(text).split("\n"):
        name, sign, value = line.partition("=")
        if line.startswith(" ") and found and found[-1][1] is not None:
            found[-1] = found[-1][0], f"{found[-1][1]}\n{line[1:]}"
        elif line.strip():
            found.append((name.strip(), value if sign else None))
    yield from found


def _line(name: str, value: str) -> str:
    return f"{name}={as_sent(value)}".replace("\n", "\n ")


def _read_plain(_name: str, value: str | None, before: Any) -> Any:
    known = _plain(before)
    return before if value is not None and known is not None and as_sent(known) == value else value


def _read_secret(name: str, value: str | None, before: Any) -> Any:
    if value == KEPT and _is_hidden(before):
        return before
    if not value:
        raise ValueError(f"{name} has no value: write {name}=VALUE, or leave its line out.")
    return {"value": value, "secret": True}


def _read_elsewhere(name: str, value: str | None, before: Any) -> Any:
    if _is_elsewhere(before) and value == _where(before):
        return before
    origin, _, where = (value or "").strip().partition(":")
    if origin not in _ORIGINS or not where:
        raise ValueError(
            f"{name} is from nowhere: write {name}=file:PATH, {name}=env:NAME or {name}=vault:PATH#KEY."
        )
    scope = {"scope": before["scope"]} if _is_elsewhere(before) and "scope" in before else {}
    return {"from": origin, **reference_of(origin, where), **scope}


def _has_line(entry: Any) -> bool:
    return entry is None or _plain(entry) is not None or _is_hidden(entry) or _is_elsewhere(entry)


def _plain(entry: Any) -> str | None:
    """The value of what is no secret."""
    if isinstance(entry, dict):
        entry = None if entry.get("secret") or _is_elsewhere(entry) else entry.get("value")
    return entry if isinstance(entry, str) else None


def _is_hidden(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("secret")) and not _is_elsewhere(entry)


def _is_elsewhere(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("from") in _ORIGINS


def _where(entry: Json) -> str:
    return f"{entry['from']}:{place_of(entry)}"
