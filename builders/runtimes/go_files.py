"""Which files of a repository a Go program may open while it runs, beyond what its binary embeds.

The tree is a stranger's: what is read is bounded, and each pattern takes time in proportion to its text.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator

from builders.source import SKIPPED_DIRECTORIES, SourceTree

MAX_FILES = 500
MAX_CHARACTERS = 8 * 1024 * 1024
_IMPORT = re.compile(r'^[ \t]*(?:import[ \t]+)?(?:[\w.]+[ \t]+)?"[^"\n]*"[ \t]*$', re.MULTILINE)
_LITERAL = re.compile(r'["`]((?:file://|/app/|\./)*)([^"`\n/]{1,200})([^"`\n]{0,200})(?=["`])')
_EMBED = re.compile(r"^//go:embed[ \t]+(.+)$", re.MULTILINE)
_WILDCARD = re.compile(r"[*?\[%].*", re.DOTALL)


def opened_by(tree: SourceTree, commands: Iterable[str]) -> str:
    """Return a clause on what opens a file: a command that names it, or a string of the program. Else ''."""
    texts = _program(tree)
    if texts is None:
        return "there is more Go than is looked through for the files it opens"
    data = _data(tree, {place for path, text in texts.items() for place in _embedded(path, text)})
    begins = {each.partition("/")[0] for each in data}
    begins |= {name for name in SKIPPED_DIRECTORIES if tree.has_directory(name)}
    named = ((f"`{command}`", word) for command in commands for word in command.split())
    found = [(who, _place(word)) for who, word in named]
    found += [(path, _place(word)) for path, text in texts.items() for word in _literals(text, begins)]
    return next((f"{who} names {place}" for who, place in found if _is_there(place, data, begins)), "")


def _program(tree: SourceTree) -> dict[str, str] | None:
    """Return the text of the Go files but for tests; None if it is too much to read."""
    paths = [path for path in tree.glob("**/*.go") if not path.endswith("_test.go")]
    if len(paths) > MAX_FILES:
        return None
    texts: dict[str, str] = {}
    left = MAX_CHARACTERS
    for path in paths:
        texts[path] = tree.read_beginning(path) or ""
        left -= len(texts[path])
        if left < 0:
            return None
    return texts


def _data(tree: SourceTree, embedded: set[str]) -> set[str]:
    """Return the files that are no source of Go nor in a binary, and the directories that hold such."""
    data: set[str] = set()
    for path in tree.files():
        within = [path, *_above(path)]
        is_source = path.endswith((".go", "go.mod", "go.sum", "go.work"))
        if not is_source and not embedded.intersection((*within, ".")):
            data.update(within)
    return data


def _above(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _embedded(path: str, text: str) -> Iterator[str]:
    """Return the files and directories that a file's binary has in it, from the module's root."""
    for line in _EMBED.findall(text):
        for word in line.split():
            pattern = _fixed(word.strip('"`').removeprefix("all:"))
            yield posixpath.normpath(posixpath.join(posixpath.dirname(path), pattern))


def _fixed(pattern: str) -> str:
    """Return the directory that a pattern with wildcards begins with, or the whole of one without."""
    fixed = _WILDCARD.sub("", pattern)
    return fixed if fixed == pattern else posixpath.dirname(fixed)


def _literals(text: str, begins: set[str]) -> list[str]:
    """Return the strings that begin with one of the names at the root."""
    found = _LITERAL.findall(_IMPORT.sub("", text))
    return [first + rest for _, first, rest in found if first in begins]


def _is_there(place: str, data: set[str], begins: set[str]) -> bool:
    """Return whether there is such a file, or may be: directories with what tools make are not listed."""
    first = place.partition("/")[0]
    return place in data or (first in SKIPPED_DIRECTORIES and first in begins)


def _place(word: str) -> str:
    return posixpath.normpath(_fixed(word.removeprefix("file://").removeprefix("/app/")))
