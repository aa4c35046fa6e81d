"""Path rules in `.gitignore` syntax: is a push worth a build, judging by the files it changed?

Git's own rules, byte for byte: `dir.c` (lines, directories, which rule wins) and `wildmatch.c` (wildcards), with their
corner cases. Rules come from users and names from anybody who can push, so they are matched by
`builders.wildcards`, which can't be made to try for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from app.domain.errors import InvalidValue
from builders.wildcards import NOT_SLASH, Gap, Names, OneOf, Pattern, TooMuchWork, Work, blocks, literal

WORK = 2**34
"""What matching one push with the rules of one project may take: half a second or so.

500 rules of 25 characters and 3,000 names of 80 need a fourth of it if every rule nearly matches every name, and mostly
much less.
"""

_WORK_OF_ONE = 2**24
_SPECIAL = "*?[\\"
_CLASSES = {
    "alnum": ("09", "AZ", "az"),
    "alpha": ("AZ", "az"),
    "blank": ("\t\t", "  "),
    "cntrl": ("\0\x1f", "\x7f\x7f"),
    "digit": ("09",),
    "graph": ("!~",),
    "lower": ("az",),
    "print": (" ~",),
    "punct": ("!/", ":@", "[`", "{~"),
    "space": ("\t\n", "\r\r", "  "),  # Git's own idea of it
    "upper": ("AZ",),
    "xdigit": ("09", "AF", "af"),
}


@dataclass(frozen=True)
class Rule:
    """`anywhere`: the pattern is for the last part of a path, else for all of it."""

    pattern: Pattern
    negative: bool
    only_directories: bool
    anywhere: bool


def check_patterns(patterns: Sequence[str], field: str) -> None:
    """Raises InvalidValue for a pattern that Git can never match anything with."""
    for number, pattern in enumerate(patterns):
        try:
            for line in _lines([pattern]):
                if any(map(_is_backwards, _rule(line).pattern)):
                    raise ValueError("a range of characters must go from the lower to the higher one")
        except ValueError as error:
            raise InvalidValue(
                f"{field}.{number}", f"{pattern!r} is not .gitignore syntax: {error}"
            ) from error


class Matching:
    """What path rules say of the files of one push; each answer is found once.

    So what was asked before a transaction costs nothing within it. All rules of a project share `WORK`.
    """

    def __init__(self) -> None:
        self._work: dict[int, Work] = {}
        self._answers: dict[tuple[object, ...], bool | None] = {}

    def asks_for_build(
        self, project: int, patterns: Sequence[str], mode: Literal["ignore", "allow"], changed: frozenset[str]
    ) -> bool | None:
        """Return what the function of this name does; None if the project's rules are too much work."""
        question = (project, tuple(patterns), mode, changed)
        if question not in self._answers:
            work = self._work.setdefault(project, Work(WORK))
            try:
                self._answers[question] = asks_for_build(patterns, mode, changed, work)
            except TooMuchWork:
                self._answers[question] = None
        return self._answers[question]


def asks_for_build(
    patterns: Sequence[str], mode: Literal["ignore", "allow"], changed: Iterable[str], work: Work
) -> bool:
    """Return whether a changed file asks for a build. Raises TooMuchWork.

    In ignore mode that is a file the rules don't ignore; in allow mode one that they do.
    """
    rules = _rules(tuple(patterns))
    for _, names in blocks(map(_bytewise, changed), work):
        ignored = _ignored(rules, names)
        if ignored if mode == "allow" else names.ends & ~ignored:
            return True
    return False


def matches(pattern: str, name: str) -> bool:
    """Return whether a name is one that a single pattern means; a pattern that takes too much work means none."""
    try:
        return asks_for_build([pattern], "allow", [name], Work(_WORK_OF_ONE))
    except TooMuchWork:
        return False


def _ignored(rules: Sequence[Rule], names: Names) -> int:
    """The ends of the names that are ignored: they are, or a directory above them is.

    The last rule that matches a path decides about it. What is below an ignored directory can't be brought back.
    """
    beginnings = names.starts | names.slashes << 1
    undecided = names.ends | names.slashes
    ignored = 0
    for rule in reversed(rules):
        matched = undecided & names.after(rule.pattern, beginnings if rule.anywhere else names.starts)
        if rule.only_directories:
            matched &= names.slashes
        undecided &= ~matched
        if not rule.negative:
            ignored |= matched
    return names.ends_after(ignored)


def _bytewise(text: str) -> str:
    """Return each byte as a character, as Git matches bytes: `?` is half an `ü`."""
    try:
        return text.encode(errors="surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass").decode("latin-1")


@lru_cache(maxsize=16)
def _rules(patterns: tuple[str, ...]) -> tuple[Rule, ...]:
    found = []
    for line in _lines(patterns):
        try:
            found.append(_rule(line))
        except ValueError:
            continue  # never matches
    return tuple(found)


def _lines(patterns: Iterable[str]) -> Iterator[str]:
    for line in "\n".join(map(_bytewise, patterns)).split("\n"):
        if line and not line.startswith("#") and (kept := _without_trailing_spaces(line.removesuffix("\r"))):
            yield kept


def _without_trailing_spaces(line: str) -> str:
    bare = line.rstrip(" ")
    escaped = len(bare) < len(line) and (len(bare) - len(bare.rstrip("\\"))) % 2 == 1
    return f"{bare} " if escaped else bare


def _rule(line: str) -> Rule:
    """Raises ValueError, saying why, for a line that matches nothing."""
    negative = line.startswith("!")
    body = line.removeprefix("!")
    only_directories = body.endswith("/")
    body = body.removesuffix("/")
    anywhere = "/" not in body
    body = body.removeprefix("/")
    if not body:
        raise ValueError("it names no file")
    fixed = next((place for place, letter in enumerate(body) if letter in _SPECIAL), len(body))
    # Git compares what has no wildcards first, and takes what is left for the pattern's beginning: `a**/b` is `a` and
    # `**/b`.
    pattern = (*_pieces(body[:fixed]), *_pieces(body[fixed:]))
    if anywhere:  # within one name
        pattern = tuple(Gap.NAME if piece is Gap.PATH else piece for piece in pattern)
    return Rule(pattern, negative, only_directories, anywhere)


_LITERALS = [literal(chr(code)) for code in range(256)]


def _pieces(text: str) -> Iterator[OneOf | Gap]:
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "*":
            gap, at = _gap(text, at)
            yield gap
        elif letter == "[":
            one, at = _one_of(text, at)
            yield one
        elif letter == "?":
            yield NOT_SLASH
            at += 1
        else:
            at += letter == "\\"
            if at == len(text):
                raise ValueError("nothing follows the last backslash")
            yield _LITERALS[ord(text[at])]
            at += 1


def _gap(text: str, at: int) -> tuple[Gap, int]:
    """Two stars or more are for any number of levels if they are all there is between two slashes."""
    end = at
    while text[end : end + 1] == "*":
        end += 1
    rest = text[end : end + 2]
    if end - at == 1 or (at and text[at - 1] != "/") or (rest and rest[0] != "/" and rest != "\\/"):
        return Gap.NAME, end
    return (Gap.LEVELS, end + 1) if rest.startswith("/") else (Gap.PATH, end)


def _one_of(text: str, at: int) -> tuple[OneOf, int]:
    """The set that begins at `[`, and where it is over."""
    at += 1
    negated = text.startswith(("!", "^"), at)
    at += negated
    ranges = [(ord("/"), ord("/"))] if negated else []
    before = ""  # what a `-` makes a range with
    first = True
    while first or not text.startswith("]", at):
        first = False
        if before and text.startswith("-", at) and text[at + 1 : at + 2] not in ("", "]"):
            last, at = _member(text, at + 1)
            ranges.append((ord(before), ord(last)))
            before = ""
        elif (name := _class_name(text, at)) is not None:
            ranges += [(ord(each[0]), ord(each[1])) for each in _CLASSES[name]]
            at += len(f"[:{name}:]")
            before = ""
        else:
            before, at = _member(text, at)
            ranges.append((ord(before), ord(before)))
    return OneOf(tuple(ranges if negated else _without_slash(ranges)), negated), at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    """A character of a set, with or without a backslash, and where it is over."""
    at += text.startswith("\\", at)
    if at >= len(text):
        raise ValueError("a [ is not closed")
    return text[at], at + 1


def _class_name(text: str, at: int) -> str | None:
    """`alpha` of `[:alpha:]`; None if no class begins here."""
    if not text.startswith("[:", at):
        return None
    end = text.find("]", at + 2)
    if end < 0:
        raise ValueError("a [ is not closed")
    if end == at + 2 or text[end - 1] != ":":
        return None
    name = text[at + 2 : end - 1]
    if name not in _CLASSES:
        raise ValueError(f"there is no such class; the classes are {', '.join(_CLASSES)}")
    return name


def _without_slash(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """No set matches a slash. (`+-9`, which goes past it, becomes `+-.` and `0-9`.)"""
    slash = ord("/")
    for low, high in ranges:
        if low <= slash <= high:
            yield from (part for part in ((low, slash - 1), (slash + 1, high)) if part[0] <= part[1])
        else:
            yield low, high


def _is_backwards(piece: OneOf | Gap) -> bool:
    return isinstance(piece, OneOf) and any(high < low for low, high in piece.ranges)
