"""What went wrong, from what `git` printed: whose fault it is, in one sentence without secrets."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

from app.disk import fault_of, is_disk_fault, unavailable
from app.domain.errors import DiskUnavailable, GitUnavailable, JobyardError, NotFound, UserError


class CommitNotFound(NotFound):
    """The repository has no such commit, or has it no more."""


class RefNotFound(NotFound):
    """The repository has no such branch or tag."""


class RepositoryNotFound(NotFound):
    """The server answered that there is no such repository."""


class AuthRefused(UserError):
    """The Git server wants another credential."""


class FetchRefused(UserError):
    """The repository or its server is not something we accept: a redirect, a forged object, too large."""


class MirrorDamaged(Exception):
    """Our own copy can't be read; it's thrown away and fetched again."""


_NO_SUCH_REF = re.compile(
    r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.I
)
_DAMAGED = re.compile(
    r"not a git repository: '|is corrupt|unable to read|is empty$|bad (?:object|ref|config|tree)"
    r"|failed to unpack tree|not a valid object name"
    r"|missing (?:blob|tree|commit)|does not point to a valid object|did not send all necessary objects"
    r"|packfile .* (?:cannot|does not match)|index file .* (?:too small|corrupt|bad)|invalid sha1 pointer",
    re.I | re.M,
)
_AUTH = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|returned error: 40[13]\b"
    r"|Permission denied \((?:publickey|password)|invalid format|error in libcrypto",
    re.I,
)
_HOST_KEY = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED", re.I)
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_REDIRECT = re.compile(r"returned error: 30\d", re.I)
_MISSING = re.compile(
    r"repository .*not found|returned error: 404|does not appear to be a git|not valid: is this a git", re.I
)
_FORGED = re.compile(r"fsck error|fsckObjects|fsck-objects", re.I)
_TOO_LARGE = re.compile(r"File too large", re.I)
_TOO_LONG = re.compile(r"File name too long|(?:cannot|unable to) create [^\n]{3000}")  # Git cuts what it says
_OWNER = re.compile(r"dubious ownership", re.I)
_DISK = re.compile(
    r"^(?!remote:).*(No space left on device|Out of diskspace|Disk quota exceeded|Read-only file system"
    r"|Input/output error|couldn't write '[^']*\.lock')",
    re.I | re.M,
)  # the server's own disk: what the other side says of its disk comes after `remote:`
_CAUSE = re.compile(r"^(?:fatal|error|ERROR|remote|ssh): *(?:fatal: *|error: *)?(.+)$", re.M)


def disk_trouble(error: OSError, folder: Path) -> JobyardError:
    if is_disk_fault(error):
        return fault_of(error, folder)
    return GitUnavailable(f"The copy of the repository in {folder} can't be used: {error.strerror or error}.")


def full_disk(folder: Path) -> DiskUnavailable:
    return fault_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder)


def is_no_such_ref(stderr: str) -> bool:
    return _NO_SUCH_REF.search(stderr) is not None


def is_damage(stderr: str) -> bool:
    return _DAMAGED.search(stderr) is not None


def is_full_disk(stderr: str) -> bool:
    return _DISK.search(stderr) is not None


def is_too_long(stderr: str) -> bool:
    return _TOO_LONG.search(stderr) is not None


def explain(url: str, stderr: str, secrets: Iterable[str], max_file_bytes: int, folder: Path) -> JobyardError:
    """Return the error for a conversation with `url` that ended in `stderr`; an unknown one is GitUnavailable.

    `folder` is where what it brings is written.
    """
    told = cause(stderr, secrets)
    if _HOST_KEY.search(stderr):
        sent = _FINGERPRINT.search(stderr)
        shown = f" It showed {sent[0]}." if sent else ""
        return AuthRefused(
            f"The ssh host key of {url} is not the one pinned for it, so nothing was sent.{shown} If the server's"
            " operator confirms the change, accept the new key at the credential; else somebody else may have answered."
        )
    if _AUTH.search(stderr):
        return AuthRefused(f"{url} refused access; set a credential that may read it. Git said: {told}")
    if _REDIRECT.search(stderr):
        return FetchRefused(f"{url} redirects elsewhere, which is not followed; use the final address.")
    if _TOO_LARGE.search(stderr):
        limit = max_file_bytes // (1024 * 1024)
        return FetchRefused(f"{url} holds more than the {limit} MiB that one pack or file may have.")
    if _FORGED.search(stderr):
        return FetchRefused(f"{url} holds objects that Git's checks refuse. Git said: {told}")
    if _OWNER.search(stderr):
        return FetchRefused(f"{url} belongs to another user than the server's; change its owner.")
    if _MISSING.search(stderr):
        return RepositoryNotFound(f"There is no repository at {url}, or not without a credential.")
    if found := _DISK.search(stderr):
        return unavailable(folder, found[1])
    return GitUnavailable(f"{url} could not be reached. Git said: {told}")


def cause(stderr: str, secrets: Iterable[str]) -> str:
    """Return the one line of `stderr` that says most, printable, masked, at most 300 characters."""
    masked = stderr
    for secret in sorted({text for text in secrets if text.strip()}, key=len, reverse=True):
        masked = masked.replace(secret, "***")
    found = _CAUSE.findall(masked) or [line for line in masked.splitlines() if line.strip()] or ["nothing"]
    return "".join(letter if letter.isprintable() else " " for letter in found[0]).strip()[:300]
