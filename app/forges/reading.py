"""Reads typed values out of untrusted JSON and names the field that is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.domain.events import Commit
from app.forges.base import BadPayload

_SHA = re.compile(r"[0-9a-f]{40}")
_NO_SHA = "0" * 40
_REF = re.compile(r"refs/[^\s\x00-\x1f\x7f\ud800-\udfff]{1,1019}")


def members(value: object, field: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        what = "payload" if field == "payload" else f"payload's {field}"
        raise BadPayload(field, f"The {what} must be an object.")
    return value


def items(value: object, field: str) -> list[object]:
    if not isinstance(value, list):
        raise BadPayload(field, f"The payload's {field} must be a list.")
    return value


def text(value: object, field: str) -> str:
    """Return the string as any database and encoding can hold it: NUL and lone surrogates become U+FFFD."""
    if not isinstance(value, str):
        raise BadPayload(field, f"The payload's {field} must be a string.")
    return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise BadPayload(field, f"The payload's {field} must be true or false.")
    return value


def sha(value: object, field: str) -> str:
    if not isinstance(value, str) or not _SHA.fullmatch(value):
        raise BadPayload(field, f"The payload's {field} must be 40 lower-case hexadecimal digits.")
    return value


def sha_or_none(value: object, field: str) -> str | None:
    """Return the SHA, or None for all zeros, by which Git says that there is no object."""
    found = sha(value, field)
    return None if found == _NO_SHA else found


def full_ref(value: object, field: str) -> str:
    if not isinstance(value, str) or not _REF.fullmatch(value):
        raise BadPayload(field, f"The payload's {field} must be a full ref name such as refs/heads/main.")
    return value


def commits(value: object, field: str) -> tuple[Commit, ...]:
    """Return the commits of a list as GitHub, GitLab and Gitea have them."""
    return tuple(
        _commit(members(item, f"{field}.{number}"), f"{field}.{number}")
        for number, item in enumerate(items(value, field))
    )


def _commit(item: Mapping[str, object], field: str) -> Commit:
    author = members(item.get("author", {}), f"{field}.author")
    return Commit(
        sha=sha(item.get("id"), f"{field}.id"),
        message=text(item.get("message"), f"{field}.message"),
        author=text(author.get("name", ""), f"{field}.author.name"),
    )
