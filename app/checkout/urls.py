"""Which repository URLs and ref names may ever reach `git`.

Both are matched against what is allowed; nothing is escaped or repaired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.domain.errors import InvalidValue
from app.domain.events import BRANCH_PREFIX

URL_FIELD = "source.git.url"
LAST_PORT = 65535
TRANSPORTS = frozenset({"https", "ssh", "http", "file"})

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)(?P<mark>::|://)(?P<rest>.*)", re.DOTALL)
_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PATH = r"(?P<path>(?!-)(?:[\w.,+@=~:/-]|%(?![01]|7[Ff])[0-9A-Fa-f]{2})+)"
_USER = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_WEB = re.compile(rf"{_HOST}(?P<port>:[0-9]{{1,5}})?/{_PATH}")
_SSH = re.compile(rf"(?:{_USER}@)?{_HOST}(?P<port>:[0-9]{{1,5}})?/{_PATH}")
_SCP = re.compile(rf"{_USER}@{_HOST}:{_PATH}")
_FILE = re.compile(rf"/{_PATH}")

_REF = re.compile(r"(?!-)[^\s\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]{1,1000}")
_REF_NEVER = re.compile(r"\.\.|@\{|//|(?:^|/)\.|\.(?:/|$)|\.lock(?:/|$)|^/|/$|^@$")


@dataclass(frozen=True, slots=True)
class Remote:
    """A URL that may be fetched; `transport` is the one Git protocol it may be fetched with."""

    url: str
    transport: str

    @property
    def origin(self) -> str:
        """The scheme and host, to which a credential is tied."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}/"


def parse_remote(url: str, allow: frozenset[str]) -> Remote:
    """Return the remote behind a URL. Raises `InvalidValue` in one sentence that repeats no secret."""
    if match := _SCHEME.fullmatch(url):
        scheme, rest = match["scheme"], match["rest"]
        if match["mark"] == "::" or scheme not in TRANSPORTS:
            raise _refused(f"{scheme} is not a Git transport Jobyard knows; use https or ssh.")
    else:
        scheme, rest = "ssh", url
    if scheme not in allow:
        raise _refused(f"The Git transport {scheme} is not allowed; add it to JOBYARD_GIT_ALLOW to use it.")
    shape = {"file": _FILE, "ssh": _SSH if match else _SCP}.get(scheme, _WEB)
    fitting = shape.fullmatch(rest)
    if not fitting or any(part.startswith("-") for part in re.split("[/:]", rest)):
        raise _refused(_explain(scheme, rest))
    port = fitting.groupdict().get("port")
    if port and not 0 < int(port[1:]) <= LAST_PORT:
        raise _refused(f"The port of the repository URL must be a number from 1 to {LAST_PORT}.")
    return Remote(url, scheme)


def full_ref(ref: str) -> str:
    """Return the full name: `main` → `refs/heads/main`; full names stay. Raises `InvalidValue` for what is no ref
    name to Git.
    """
    if not _REF.fullmatch(ref) or _REF_NEVER.search(ref):
        raise InvalidValue(
            "source.git.branch", "The branch is not a valid Git ref name; use one such as main."
        )
    return ref if ref.startswith("refs/") else BRANCH_PREFIX + ref


def _explain(scheme: str, rest: str) -> str:
    if scheme in {"http", "https"} and "@" in rest.partition("/")[0]:
        return "The repository URL must not carry a user or password; add a credential and name it instead."
    if "?" in rest or "#" in rest:
        return "The repository URL must not have a query or fragment; use the address that git clone takes."
    return (
        "The repository URL must look like https://host/owner/name.git, git@host:owner/name.git"
        " or ssh://git@host/owner/name.git."
    )


def _refused(sentence: str) -> InvalidValue:
    return InvalidValue(URL_FIELD, sentence)
