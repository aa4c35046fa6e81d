"""What a language tells the planner: how sure it is, and the plan."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from builders.plan import BuildPlan, BuildSettings
from builders.source import SourceTree


class Strength(IntEnum):
    """How much a file says about what a repository is. The strongest runtime wins; see `detect`."""

    LAST_RESORT = 0
    LOOSE_FILE = 1
    SECONDARY = 2
    MANIFEST = 3


@dataclass(frozen=True)
class Evidence:
    strength: Strength
    file: str


@dataclass(frozen=True)
class Runtime:
    """One language. Both functions are pure in the tree and the settings.

    - `evidence`: the strongest sign of the language at the tree's root, or None. It looks at the root's own
      files only, so that it costs next to nothing in a big repository.
    - `plan`: raises PlanError when the tree contradicts itself or names nothing to run.
    - `plan_member`: the same for a directory of a repository that belongs to a workspace above it, which is then the
      plan's `root_directory`; None where it does not.
    - `words`: first words of commands that need this language.
    - `signs` and `versions`, for people: files that are evidence, the strongest first, and the lines of base images.
    """

    name: str
    title: str
    evidence: Callable[[SourceTree], Evidence | None]
    plan: Callable[[SourceTree, BuildSettings], BuildPlan]
    words: frozenset[str] = frozenset()
    signs: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    plan_member: Callable[[SourceTree, str, BuildSettings], BuildPlan | None] | None = None


def first_marker(tree: SourceTree, names: tuple[str, ...], strength: Strength) -> Evidence | None:
    file = next((name for name in names if name in tree.root_files), None)
    return Evidence(strength, file) if file else None
