"""Which files of a build context an ignore file leaves out, by the rules of `.dockerignore`."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from builders.wildcards import NOT_SLASH, Gap, OneOf, Pattern, TooMuchWork, Work, blocks, literal

WORK = 2**37
"""What leaving files out of one context may take: a few seconds. 100 rules and 500,000 files need a tenth of it."""
MAX_RULES = 10_000

_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|\[[^]/]+\]|\\.|.", re.DOTALL)
_SPELLED: dict[str, OneOf | Gap] = {"**/": Gap.LEVELS, "**": Gap.PATH, "*": Gap.NAME, "?": NOT_SLASH}


@dataclass(frozen=True)
class Rule:
    """A line of an ignore file. `brings_back` means that it begins with `!`."""

    pattern: Pattern
    brings_back: bool


@dataclass(frozen=True)
class Ignore:
    """The last line that matches a path, or a directory above it, decides.

    Rules and names are a stranger's: see `builders.wildcards`. Raises TooMuchWork when `work` is spent.
    """

    rules: tuple[Rule, ...] = ()
    work: Work = field(default_factory=lambda: Work(WORK))

    @classmethod
    def parse(cls, text: str) -> "Ignore":
        """Parse an ignore file. Raises TooMuchWork for more than `MAX_RULES`."""
        return cls(tuple(_rules(text)))

    @property
    def brings_back(self) -> bool:
        """Return whether files may be in that are below a directory that is out."""
        return any(rule.brings_back for rule in self.rules)

    def left_out(self, paths: Iterable[str]) -> set[str]:
        """Return which of `paths` are out; they are relative to the context, such as `src/main.py`."""
        return {path for path, is_out in self._told(paths) if is_out}

    def leaves_out(self, path: str) -> bool:
        return bool(self.left_out([path]))

    def prunes(self, directory: str) -> bool:
        """Return whether nothing below `directory` can be in."""
        return self.leaves_out(directory) and not self.brings_back

    def _told(self, paths: Iterable[str]) -> Iterator[tuple[str, bool]]:
        for block, names in blocks(paths, self.work):
            out = 0
            for rule in self.rules:
                matched = names.after(rule.pattern, names.starts) & (names.ends | names.slashes)
                hit = names.ends_after(matched)
                out = out & ~hit if rule.brings_back else out | hit
            digits = f"{out:b}"[::-1]
            end = -1
            for path in block:
                end += len(path) + 1
                yield path, digits[end : end + 1] == "1"


def _rules(text: str) -> Iterator[Rule]:
    number = 0
    for line in text.removeprefix("\ufeff").splitlines():
        stripped = line.strip()
        if not stripped or line.startswith("#"):
            continue
        brings_back = stripped.startswith("!")
        path = posixpath.normpath(stripped.removeprefix("!").strip()).lstrip("/")
        if path not in ("", "."):
            number += 1
            if number > MAX_RULES:
                raise TooMuchWork
            yield Rule(tuple(map(_piece, _PIECE.findall(path))), brings_back)


def _piece(text: str) -> OneOf | Gap:
    if text in _SPELLED:
        return _SPELLED[text]
    if text.startswith("[") and len(text) > 1:
        return _one_of(text[1:-1])
    return literal(text[-1])


def _one_of(members: str) -> OneOf:
    negated = members.startswith("^") and len(members) > 1
    at = int(negated)
    ranges = []
    while at < len(members):
        is_range = members[at + 1 : at + 2] == "-" and at + 2 < len(members)
        ranges.append((ord(members[at]), ord(members[at + 2 * is_range])))
        at += 3 if is_range else 1
    return OneOf(tuple(ranges), negated)
