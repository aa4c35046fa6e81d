"""`jobyard.yaml`: what a repository says of its jobs itself, and what becomes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.documents import Json, Stored
from app.domain.errors import UserError
from app.domain.events import short

FILE = "jobyard.yaml"
MOST_BYTES = 256 * 1024


class FileRefused(UserError):
    """The file is there and can't be taken, whatever it says."""


@dataclass(frozen=True)
class FileText:
    """The file as Git has it at a commit. Without a text there is none, or it can't be had, or it is no text that may
    be one, which `unreadable` and `wrong` say.
    """

    text: str | None = None
    unreadable: str = ""
    wrong: str = ""


@dataclass(frozen=True)
class FromFile:
    """What of a job is set by the file of the build service whose source has this id, as it was at a commit.

    `fields` are fields of the job, and `env.NAME` for single variables; `groups` are secret groups that it joined by
    it. One that the file has no more is `removed`, and none of its fields is held any more.
    """

    source_id: int
    sha: str
    fields: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    removed: bool = False

    @property
    def called(self) -> str:
        return file_at(self.sha)

    def to_json(self) -> Json:
        return {**vars(self), "fields": list(self.fields), "groups": list(self.groups)}

    @classmethod
    def from_json(cls, data: Stored) -> FromFile:
        return cls(**{**data, "fields": tuple(data["fields"]), "groups": tuple(data["groups"])})


@dataclass(frozen=True)
class FileOutcome:
    """What applying a file came to: `wrong` says why it was refused, and then nothing was changed by it.

    Else `changed` has a sentence for each job that was made, changed or paused, by its id.
    """

    wrong: str = ""
    changed: Sequence[tuple[int, str]] = field(default_factory=tuple)


def file_at(sha: str | None) -> str:
    return f"{FILE} at {short(sha)}"
