"""Which files of a build context an ignore file leaves out, by the rules of `.dockerignore`."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Rule:
    """`brings_back`: the line begins with `!`."""

    pattern: re.Pattern[str]
    brings_back: bool


@dataclass(frozen=True)
class Ignore:
    """The last line that matches a path, or a directory above it, decides."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Ignore":
        return cls(tuple(_rules(text)))

    def leaves_out(self, path: str) -> bool:
        """`path` is relative to the context, such as `src/main.py`."""
        above = [str(parent) for parent in PurePosixPath(path).parents][:-1]
        out = False
        for rule in self.rules:
            if rule.brings_back is out and any(map(rule.pattern.fullmatch, (path, *above))):
                out = not rule.brings_back
        return out

    def prunes(self, directory: str) -> bool:
        """Whether nothing below `directory` can be in."""
        return self.leaves_out(directory) and not any(rule.brings_back for rule in self.rules)


def _rules(text: str) -> Iterator[Rule]:
    for line in text.removeprefix("\ufeff").splitlines():
        stripped = line.strip()
        if not stripped or line.startswith("#"):
            continue
        brings_back = stripped.startswith("!")
        path = posixpath.normpath(stripped.removeprefix("!").strip()).lstrip("/")
        if path not in ("", "."):
            yield Rule(re.compile(_to_regex(path), re.DOTALL), brings_back)


def _to_regex(pattern: str) -> str:
    spelled = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\]|\\.)", pattern)
    return "".join(spelled.get(piece) or _literal(piece) for piece in pieces)


def _literal(piece: str) -> str:
    if piece.startswith("["):
        body = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[{body}]"
    return re.escape(piece[1:] if piece.startswith("\\") and len(piece) == 2 else piece)
