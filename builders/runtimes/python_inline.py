"""What a script says of itself in a comment (`# /// script`, PEP 723), and lists of dependencies that nobody reads."""

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from builders.manifests import Unreadable
from builders.plan import PlanError
from builders.runtimes.python_project import Project
from builders.source import SourceTree

_BEGIN, _END = "# /// script", "# ///"
_LISTS = re.compile(r"[\w.-]*requirements?[\w.-]*\.(?:txt|in|pip)|pylock(?:\.[\w-]+)?\.toml", re.IGNORECASE)
MOST_NAMED = 3


@dataclass(frozen=True)
class Inline:
    """The block of the script at `path`; empty where there is none."""

    path: str = ""
    dependencies: tuple[str, ...] = ()
    requires_python: str = ""

    @property
    def constraint(self) -> tuple[str, str]:
        return self.requires_python, f"{self.path} requires-python"


def inline_of(tree: SourceTree, argv: Sequence[str]) -> Inline:
    """Return the block of the script which a command runs. Raises PlanError for one that can't be read."""
    path = next((word.removeprefix("./") for word in argv if word.endswith(".py")), "")
    block = _block(tree.read_beginning(path) or "") if path else ""
    if not block:
        return Inline()
    try:
        data = tomllib.loads(block)
    except Unreadable as error:
        raise PlanError(f"The block '# /// script' of {path} is not TOML: {error}.") from error
    listed = data.get("dependencies")
    requires = data.get("requires-python")
    return Inline(
        path,
        tuple(map(str, listed)) if isinstance(listed, list) else (),
        requires if isinstance(requires, str) else "",
    )


def _block(text: str) -> str:
    """Return the TOML in the comment; empty where none begins, or it doesn't end."""
    lines = (line.rstrip() for line in text.split("\n"))
    if _BEGIN not in lines:  # which goes on behind it
        return ""
    found: list[str] = []
    for line in lines:
        if line == _END:
            return "\n".join(found)
        if not line.startswith("#"):
            return ""
        found.append(line[1:].removeprefix(" "))
    return ""


def lists_left_aside(tree: SourceTree, project: Project) -> tuple[str, ...]:
    """Return a warning for each file that seems to list dependencies, where nothing is installed."""
    named = [name for name in tree.root_files if _LISTS.fullmatch(name) or _is_misspelt(name)]
    if re.search(r"^install_requires\s*=", tree.read_text("setup.cfg") or "", re.MULTILINE):
        named.append("setup.cfg")
    if project.data.get("dependency-groups"):
        named.append("pyproject.toml")
    fix = "list them in requirements.txt or pyproject.toml"
    return tuple(
        f"{name} seems to list dependencies, and nothing installs them: {fix}." for name in named[:MOST_NAMED]
    )


def _is_misspelt(name: str) -> bool:
    return bool(difflib.get_close_matches(name.lower(), ["requirements.txt"], cutoff=0.85))
