"""The plan of what needs no language of its own: the source on a Debian image."""

from builders import layout
from builders.instructions import Copy, Env, Instruction, Run, Stage, Workdir
from builders.layout import WORKDIR
from builders.plan import BuildPlan, BuildSettings
from builders.source import SourceTree
from builders.start import Start


def debian_plan(runtime: str, tree: SourceTree, settings: BuildSettings, start: Start) -> BuildPlan:
    return BuildPlan(
        runtime=runtime,
        install_command=settings.install_command,
        build_command=settings.build_command,
        run_command=start.text,
        processes=start.processes,
        command=start.argv,
        reasons=(*layout.system_reasons(tree), start.reason),
        warnings=start.warnings,
        stages=_stages(tree, settings),
    )


def _stages(tree: SourceTree, settings: BuildSettings) -> tuple[Stage, ...]:
    system = layout.system_packages(tree)
    environment = Env({"HOME": layout.HOME})
    if not settings.install_command and not settings.build_command:
        return (
            Stage(layout.SMALL_IMAGE, (*system, environment, layout.source_from_context(), Workdir(WORKDIR))),
        )
    steps: list[Instruction] = [*system, Workdir(WORKDIR), Copy((".",), "./")]
    steps += [Run((settings.install_command,))] if settings.install_command else []
    steps += [Run((settings.build_command,), phase="build")] if settings.build_command else []
    final = (*system, environment, layout.source_from_build(), Workdir(WORKDIR))
    return Stage(layout.SMALL_IMAGE, tuple(steps), "build"), Stage(layout.SMALL_IMAGE, final)
