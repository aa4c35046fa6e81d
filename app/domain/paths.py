"""Path rules in `.gitignore` syntax: is a push worth a build, judging by the files it changed?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pathspec import GitIgnoreSpec

from app.domain.errors import InvalidValue


def check_patterns(patterns: Sequence[str], field: str) -> None:
    """Raises InvalidValue for a pattern that `.gitignore` syntax does not know."""
    for number, pattern in enumerate(patterns):
        try:
            GitIgnoreSpec.from_lines([pattern])
        except (ValueError, re.error) as error:
            raise InvalidValue(
                f"{field}.{number}", f"{pattern!r} is not .gitignore syntax: {error}"
            ) from error


def deciding_file(
    patterns: Sequence[str], mode: Literal["ignore", "allow"], changed: Iterable[str]
) -> str | None:
    """The first changed file that asks for a build, or None if none does.

    In ignore mode that is a file no pattern matches; in allow mode one that a pattern matches.
    """
    spec = GitIgnoreSpec.from_lines(patterns)
    wanted = mode == "allow"
    return next((file for file in sorted(changed) if spec.match_file(file) is wanted), None)
