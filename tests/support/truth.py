"""Whether what is stored and shown of ends, waits and skips is true, given what really happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Facts:
    """What happened. `ends` are those of servers, as far as others can tell."""

    kills: int = 0
    stops: int = 0
    stalls: int = 0
    engine_faults: int = 0  # calls that went wrong, hung, or found no engine
    restarts: int = 0  # of the engine
    full: int = 0  # disks
    set_back: int = 0
    set_forward: int = 0
    restores: int = 0
    cancels: int = 0
    untold: int = 0  # messages and statuses that were not taken at once

    @property
    def ends(self) -> int:
        return self.kills + self.stops + self.stalls


# Where they are stored: tables and columns.
SENTENCES = (
    ("delivery", "sentence"),
    ("build", "sentence"),
    ("run", "sentence"),
    ("attempt", "sentence"),
    ("container", "sentence"),
    ("decision", "sentence"),
    ("deployment", "warning"),
    ("deployment_step", "sentence"),
)
IsTrue = Callable[[Facts, re.Match[str]], bool]
TRUE_IF: tuple[tuple[str, IsTrue], ...] = (
    (r"server was (killed|stopped(?! or failed, or its database))", lambda facts, _: facts.ends > 0),
    (r"or its database did", lambda facts, _: facts.ends + facts.full > 0),
    (r"(\d+) times (the server was killed|during|while)", lambda facts, found: int(found[1]) <= facts.ends),
    (r"killed, or failed, (\d+) times", lambda facts, found: int(found[1]) <= facts.ends),
    (r"restored from a copy", lambda facts, _: facts.restores > 0),
    (r"engine was restarted|engine went away", lambda facts, _: facts.restarts > 0),
    (
        r"[Tt]he (container )?engine( at \S+)? (does|did|has) not answer|The engine refused|engine's answer",
        lambda facts, _: facts.engine_faults + facts.restarts > 0,
    ),
    (r"connection to the engine broke", lambda facts, _: facts.restarts > 0),
    # Another server may have been told to stop it, and have ended since.
    (r"stopped by the engine .*, or by somebody", lambda facts, _: facts.restarts + facts.ends > 0),
    (r"is full|is nearly full|no room|room for", lambda facts, _: facts.full > 0),
    (r"clock was set back", lambda facts, _: facts.set_back > 0),
    (r"[Cc]ancelled by", lambda facts, _: facts.cancels > 0),
    (
        r"Jobyard failed|never started|not in the engine any more|can't be read|may be missing",
        lambda *_: False,
    ),
)


def untrue(sentence: str, facts: Facts) -> bool:
    """Whether it tells of something that did not happen."""
    return any(
        not is_true(facts, found)
        for words, is_true in TRUE_IF
        if (found := re.search(words, sentence)) is not None
    )
