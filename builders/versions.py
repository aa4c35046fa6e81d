"""Version constraints as Python and Node projects write them, and which release line satisfies them.

A base image's tag names a release line (`3.13`, `24`) and holds its newest patch. So a constraint is a union
of intervals over version triples, and a line is the interval from its first release to the next line's first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

Triple = tuple[int, int, int]
Line = tuple[int, ...]

_END: Triple = (10**9, 0, 0)
_START: Triple = (0, 0, 0)
_NUMBER = r"[0-9]{1,9}(?![0-9])"
_CLAUSE = re.compile(
    rf"(===|==|=|!=|<=|>=|~=|~>|<|>|~|\^)?\s*v?({_NUMBER}|[xX*])((?:\.(?:{_NUMBER}|[xX*]))*)"
    r"(?:[-+][0-9A-Za-z.+-]+|\.?(?:a|b|rc|dev|post)\d+)?"  # pre-releases count as the release they lead to
)


class UnreadableVersion(ValueError):
    """The text is neither a version nor a constraint on one."""


@dataclass(frozen=True)
class Interval:
    """The versions `low <= v < high`, without those in `holes`."""

    low: Triple = _START
    high: Triple = _END
    holes: tuple[tuple[Triple, Triple], ...] = ()

    def meets(self, low: Triple, high: Triple) -> bool:
        low, high = max(low, self.low), min(high, self.high)
        return low < high and not any(hole[0] <= low and high <= hole[1] for hole in self.holes)


@dataclass(frozen=True)
class Constraint:
    """A version has to be in any of several intervals."""

    alternatives: tuple[Interval, ...]

    def allows(self, version: Triple) -> bool:
        return any(part.meets(version, _after(version)) for part in self.alternatives)

    def allows_some_of(self, line: Line) -> bool:
        """Return whether any release of the line satisfies it."""
        low, high = _span(line)
        return any(part.meets(low, high) for part in self.alternatives)

    def allows_newest_of(self, line: Line) -> bool:
        """Return whether the line's newest release satisfies it, whatever its number."""
        high = _span(line)[1]
        return any(
            part.low < high <= part.high and not any(low < high <= end for low, end in part.holes)
            for part in self.alternatives
        )


def parse_constraint(text: str) -> Constraint:
    """Parse `>=3.11,<3.13`, `^20.1`, `18 || 20.x`, `~=3.11`, `16 - 20`; a partial version stands for all it begins.

    Raises UnreadableVersion.
    """
    return Constraint(tuple(_parse_interval(part) for part in text.split("||")))


def parse_line(text: str, length: int) -> Line | None:
    """Return the release line of a plain version (`3.11.4` with length 2: `(3, 11)`), or None if it isn't one."""
    match = re.fullmatch(rf"v?({_NUMBER}(?:\.{_NUMBER})*)(?:[-+.]?[a-z].*)?", text.strip())
    numbers = tuple(int(part) for part in match[1].split(".")) if match else ()
    return numbers[:length] if len(numbers) >= length else None


def pick(constraint: Constraint, lines: Sequence[Line], preferred: Line) -> Line | None:
    """Return the preferred line if it satisfies the constraint, else the newest of `lines` that does."""
    for suits in (constraint.allows_newest_of, constraint.allows_some_of):
        for line in (preferred, *sorted(lines, reverse=True)):
            if suits(line):
                return line
    return None


def dotted(line: Line) -> str:
    return ".".join(str(number) for number in line)


def _parse_interval(text: str) -> Interval:
    text = text.strip()
    hyphen = re.fullmatch(r"(\S+)\s+-\s+(\S+)", text)
    if hyphen:
        text = f">={hyphen[1]} <={hyphen[2]}"
    low, high, holes = _START, _END, []
    position = 0
    while position < len(text):
        if text[position] in ", \t":
            position += 1
            continue
        match = _CLAUSE.match(text, position)
        if match is None:
            raise UnreadableVersion(text)
        position = match.end()
        operator, span = _clause(match)
        if operator == "!=":
            holes.append(span)
        else:
            low, high = max(low, span[0]), min(high, span[1])
    return Interval(low, high, tuple(holes))


def _clause(match: re.Match[str]) -> tuple[str, tuple[Triple, Triple]]:
    operator = match[1] or "="
    numbers = tuple(int(part) for part in _until_wildcard((match[2] + match[3]).split(".")))
    return operator, _bounds(operator, numbers)


def _until_wildcard(parts: list[str]) -> list[str]:
    return parts[: next((i for i, part in enumerate(parts) if not part.isdigit()), len(parts))][:3]


def _bounds(operator: str, numbers: Line) -> tuple[Triple, Triple]:
    low, high = _span(numbers)
    match operator:
        case ">=":
            return low, _END
        case ">":
            return high, _END
        case "<":
            return _START, low
        case "<=":
            return _START, high
        case "^":
            first = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
            return low, _span(numbers[: first + 1])[1]
        case "~=" | "~>":
            return low, _span(numbers[: max(len(numbers) - 1, 1)])[1]
        case "~":
            return low, _span(numbers[:2])[1]
        case _:
            return low, high


def _span(line: Line) -> tuple[Triple, Triple]:
    """Return the interval of all versions that begin with `line`."""
    if not line:
        return _START, _END
    padded = (*line, 0, 0)[:3]
    following = (*line[:-1], line[-1] + 1, 0, 0)[:3]
    return (padded[0], padded[1], padded[2]), (following[0], following[1], following[2])


def _after(version: Triple) -> Triple:
    return version[0], version[1], version[2] + 1
