"""What running a file does: an end to it, definitions alone, or a server."""

import enum
from dataclasses import dataclass

SERVES_FOR_EVER = "starts a server, which never finishes"
ONLY_DEFINES = "only defines things and runs nothing"
IS_EMPTY = "is empty"


class Effect(enum.IntEnum):
    """In the order in which the stronger one decides for statements that follow one another."""

    DEFINES = 0
    RUNS = 1
    SERVES = 2


@dataclass(frozen=True)
class Doing:
    """`note` is what the file does instead of running to an end; it is empty for a program."""

    effect: Effect
    note: str = ""
