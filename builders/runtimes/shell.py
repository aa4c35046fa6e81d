"""Shell scripts on Debian."""

from dataclasses import replace

from builders.layout import apt_packages
from builders.plan import BuildPlan, BuildSettings
from builders.runtimes.base import Evidence, Runtime, Strength, first_marker
from builders.runtimes.debian import debian_plan
from builders.source import SourceTree
from builders.start import START_SCRIPTS, Offers, Option, choose_start, script_command


def evidence(tree: SourceTree) -> Evidence | None:
    named = first_marker(tree, START_SCRIPTS, Strength.LOOSE_FILE)
    single = _single_script(tree)
    return named or (Evidence(Strength.LAST_RESORT, single) if single else None)


def plan(tree: SourceTree, settings: BuildSettings) -> BuildPlan:
    single = _single_script(tree)
    option = (
        Option(script_command(tree, single), f"{single} is the only script at the root") if single else None
    )
    start = choose_start(tree, settings, Offers(declared=option, candidates=tree.glob("*.sh")))
    plan_ = debian_plan("shell", tree, settings, start)
    foreign = start.argv[0] not in ("sh", "bash", "dash", "/bin/sh") and apt_packages(tree) is None
    warning = f"{start.argv[0]!r} may not be in the image: list its Debian package in apt.txt."
    return replace(plan_, warnings=(*plan_.warnings, warning)) if foreign else plan_


def _single_script(tree: SourceTree) -> str | None:
    """Return the only *.sh at the root, or the only executable there without an extension that begins with #!."""
    scripts = tree.glob("*.sh")
    if not scripts:
        scripts = tuple(name for name in tree.root_files if "." not in name and _is_script(tree, name))
    return scripts[0] if len(scripts) == 1 else None


def _is_script(tree: SourceTree, name: str) -> bool:
    return tree.is_executable(name) and (tree.read_head(name) or "").startswith("#!")


RUNTIME = Runtime(
    "shell", "Shell", evidence, plan, frozenset({"sh", "bash"}), signs=(*START_SCRIPTS, "the only *.sh")
)
