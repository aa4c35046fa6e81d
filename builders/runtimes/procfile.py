"""A repository that says what to run, by Procfile or in the settings, and is of no language known here."""

from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.debian import debian_plan
from builders.source import SourceTree
from builders.start import Offers, choose_start


def evidence(tree: SourceTree) -> Evidence | None:
    return first_marker(tree, ("Procfile",), Strength.LAST_RESORT)


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    return debian_plan("procfile", tree, settings, choose_start(tree, settings, Offers()))


RUNTIME = Runtime("procfile", "Procfile", evidence, plan, signs=("Procfile",))
