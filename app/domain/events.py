"""What a forge tells us, in our own words.

A `Push` is what every forge's push event becomes; the rules see nothing else of it.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from app.domain import limits

PUSH, PING, PULL_REQUEST = "push", "ping", "pull_request"  # kinds of events, whatever a forge calls them

BRANCH_PREFIX = "refs/heads/"
TAG_PREFIX = "refs/tags/"

_DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_SCP_LIKE = re.compile(r"(?:[^@/:\s]+@)?(?P<host>\[[^\]\s]+\]|[^@/:\s]+):(?P<path>.+)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class RepositoryRef:
    """A repository as a forge names it: `full_name` is `owner/name`, `urls` every address it gave."""

    full_name: str
    urls: tuple[str, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The canonical identities of all its addresses."""
        return frozenset(map(repo_key, self.urls))


@dataclass(frozen=True, slots=True)
class Commit:
    """One pushed commit; `author` is a name as the commit has it, proof of nothing."""

    sha: str
    message: str
    author: str


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A proposal to merge a commit into the branch `base` (a merge request, in GitLab's words).

    `is_fork` says that it comes from another repository; `is_allowed` that somebody of this one lets that commit be
    built: by the label that this very event set, or by an approval.
    """

    base: str
    is_fork: bool
    is_allowed: bool = False


@dataclass(frozen=True, slots=True)
class Push:
    """One ref moved from `before` to `after` (40 hex digits; `None` where the ref did not or does not exist).

    `after` of an annotated tag is the tag object, not its commit. `commits` are those the forge lists, oldest first,
    which need not be all. `changed_files` are what a rehearsal says of the push; where it is `None`, Git is asked.
    `found_at` is when it was found by comparing with the remote, where no hook told of it. `target` is the commit that
    an annotated tag points to, where the forge says it. Where `pull_request` is there, `after` is its head, and nothing
    is before.
    """

    forge: str
    repository: RepositoryRef
    ref: str
    before: str | None
    after: str | None
    deleted: bool
    created: bool
    forced: bool
    commits: tuple[Commit, ...]
    head_message: str
    changed_files: frozenset[str] | None
    pusher: str
    compare_url: str
    found_at: datetime | None = None
    target: str | None = None
    pull_request: PullRequest | None = None

    @property
    def commit(self) -> str | None:
        """The pushed commit: what `after` is, or what the tag points to."""
        return self.target or self.after

    @property
    def branch(self) -> str | None:
        return self.ref.removeprefix(BRANCH_PREFIX) if self.ref.startswith(BRANCH_PREFIX) else None

    @property
    def proposed_for(self) -> str | None:
        """The branch that a pull request is for; None for any other push."""
        return None if self.pull_request is None else self.pull_request.base

    @property
    def is_tag(self) -> bool:
        return self.ref.startswith(TAG_PREFIX)


@lru_cache(maxsize=4096)  # every push names the same few
def repo_key(url: str) -> str:
    """The identity of the repository behind a URL, `github.com/acme/report` for all forms (https, ssh, scp).

    User, default port, `.git` and the case of the host don't matter; on github.com the case of the path
    doesn't either, as GitHub ignores it. A local repository is `file:///abs/path`. What is no URL stands for
    itself.
    """
    text = url.strip()
    if text.startswith("/"):
        text = f"file://{text}"
    if "://" not in text and (scp := _SCP_LIKE.fullmatch(text)):
        text = f"ssh://{scp['host']}/{scp['path']}"
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return text
    if parts.scheme == "file":
        return "file:///" + posixpath.normpath(unquote(parts.path)).lstrip("/")
    path = "/".join(segment for segment in parts.path.split("/") if segment).removesuffix(".git")
    if not host or not path:
        return text
    if host == "github.com":
        path = path.lower()
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    return f"{host}/{path}"


def one_line(text: str) -> str:
    """The first line of what a stranger wrote, without characters that control a terminal or turn text around."""
    line = text.strip().partition("\n")[0].strip()
    shown = line if len(line) <= limits.SHOWN_LINE else f"{line[: limits.SHOWN_LINE - 1]}…"
    return _UNPRINTABLE.sub("\ufffd", shown)


def short(sha: str | None) -> str:
    return sha[:7] if sha and re.fullmatch(r"[0-9a-f]{40,64}", sha) else (sha or "an unknown commit")
