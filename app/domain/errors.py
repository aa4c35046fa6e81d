"""What can go wrong, by whose fault it is.

    JobyardError
    ├── UserError           the user's: deterministic, shown where they look, never retried
    │   ├── InvalidValue    a value that can't be accepted; names the field
    │   ├── Contradictions  fields that can't be as they are together; names each of them
    │   ├── NotFound        no such thing
    │   └── Conflict        a valid request in the wrong state
    │       └── Unreadable  what is stored of it is not for this version
    ├── Busy                too many ask for the same thing at once; trying again in a moment helps
    └── TransientError      a dependency's: tried again within a bound of its own
        ├── DiskUnavailable waited for without end: no try is counted, nothing is concluded
        ├── EngineUnavailable
        ├── GitUnavailable
        └── RegistryUnavailable

Anything else that escapes is a bug of ours and is loud. Every message is one sentence a person can act on, and
carries no secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath


class JobyardError(Exception):
    """Base of all expected errors; `str(error)` is the sentence to show."""


class UserError(JobyardError):
    """The request or the repository is at fault; trying again changes nothing."""


class InvalidValue(UserError):
    """A value that can't be accepted. `field` is a dotted path such as `schedule.cron`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Contradictions(UserError):
    """Fields that can't be as they are together. `errors` pairs each, as a dotted path, with a whole sentence."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__(" ".join(sentence for _, sentence in self.errors))


def require_consistent(rules: Iterable[tuple[str, str]]) -> None:
    """Raises Contradictions for all pairs of a field and the rule it breaks, such as `("job", "is missing")`."""
    errors = [(field, f"{field} {rule}.") for field, rule in rules]
    if errors:
        raise Contradictions(errors)


class NotFound(UserError):
    """There is no such thing, or not for this caller."""


class Conflict(UserError):
    """The thing exists but is not in a state that allows this."""


class Unreadable(Conflict):
    """The thing is stored in a form that this version of Jobyard can't read."""


class Busy(JobyardError):
    """Too many ask for the same thing at once; the same request may be good in a moment."""


class TransientError(JobyardError):
    """Something we depend on did not answer; worth trying again."""


class DiskUnavailable(TransientError):
    """Nothing can be written in a directory of the server's own: its disk is full, read-only or broken."""

    def __init__(self, directory: PurePath, setting: str, message: str) -> None:
        """`setting` is what names the directory."""
        super().__init__(message)
        self.directory = directory
        self.setting = setting


class EngineUnavailable(TransientError):
    """The container engine did not answer."""


class GitUnavailable(TransientError):
    """The Git server did not answer in time, or there is no `git` here to ask it with."""


class RegistryUnavailable(TransientError):
    """The image registry did not answer."""
