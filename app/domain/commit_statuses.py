"""The status of a commit at its forge: what is said of it there, in words that every forge takes."""

from __future__ import annotations

import enum
from dataclasses import dataclass

DESCRIPTION = 140  # characters, as GitHub takes them
CONTEXT = "jobyard"


class StatusState(enum.StrEnum):
    PENDING = "pending"  # something of it is still to come
    SUCCESS = "success"  # all went well, or nothing was to be done
    FAILURE = "failure"  # what the repository has can't be built, or its run failed
    ERROR = "error"  # Jobyard could not find out: cancelled, or something that it needs was away

    @property
    def is_final(self) -> bool:
        return self is not StatusState.PENDING


@dataclass(frozen=True)
class CommitStatus:
    """What is posted: `context` tells statuses of one commit apart, `link` is a page of ours, if it can be reached."""

    context: str
    state: StatusState
    description: str
    link: str | None = None


def shortened(sentence: str, most: int = DESCRIPTION) -> str:
    """A sentence in at most so many characters, cut between two words; one that fits, as it is."""
    line = " ".join(sentence.split())
    if len(line) <= most:
        return line
    words = line[:most].rpartition(" ")[0] if line[most - 1] != " " else line[: most - 1]
    kept = words if len(words) > most // 2 else line[: most - 1]
    return f"{kept[: most - 1].rstrip(' ,;:')}…"
