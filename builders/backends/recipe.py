"""A plan's stages, carried out step by step in the places of an image that is a directory."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeGuard

from builders.backends.base import BuildFailed, BuildRequest
from builders.backends.cli import SEARCH_PATH
from builders.backends.context import Context
from builders.backends.last_words import LastWords
from builders.backends.places import Places
from builders.backends.session import Session
from builders.backends.toolchains import Found, machine_trust
from builders.instructions import Copy, Env, Instruction, Run, Stage, Workdir
from builders.plan import BuildPlan
from builders.render import COMMIT_VARIABLES
from builders.trees import remove_tree


@dataclass(frozen=True)
class Recipe:
    request: BuildRequest
    plan: BuildPlan
    context: Context
    toolchain: Found | None
    places: Places

    def carry_out(self, session: Session) -> dict[str, str]:
        """Make the files of the image, and return its variables. Raises BuildFailed."""
        self._lay_out()
        stages = [stage for stage in self.plan.stages if not _only_divides(stage, self.plan)]
        steps = [step for stage in stages for step in stage.steps if _does_something(step)]
        numbers = iter(range(1, len(steps) + 1))
        env: dict[str, str] = {}
        for stage in stages:
            env = self._stage(stage, session, numbers, len(steps))
        for directory in self.places.scratch:
            with suppress(OSError):
                remove_tree(directory)
        return env

    @staticmethod
    def visible(build_args: Mapping[str, str], phase: str) -> dict[str, str]:
        """Return the build's variables that a phase sees: those of the commit are for the build command alone."""
        return {
            name: value
            for name, value in build_args.items()
            if phase == "build" or (phase == "install" and not name.startswith(COMMIT_VARIABLES))
        }

    def _lay_out(self) -> None:
        self.places.directory.mkdir(mode=0o700)
        for directory in (self.places.app, self.places.bin, self.places.home):
            directory.mkdir()
        if self.toolchain:
            for name in self.toolchain.names:
                (self.places.bin / name).symlink_to(self.toolchain.program)

    def _stage(self, stage: Stage, session: Session, numbers: Iterator[int], total: int) -> dict[str, str]:
        env = {"PATH": f"{self.places.bin}:{self.places.usr}/bin:{SEARCH_PATH}", "LANG": "C.UTF-8"}
        workdir = "/"
        for step in stage.steps:
            match step:
                case Env():
                    env |= self._variables(step, env["PATH"])
                case Workdir():
                    workdir = step.path
                    self.places.path(workdir, "/").mkdir(parents=True, exist_ok=True)
                case Run() if _is_for_the_system(step):
                    session.say(f"Not done on this machine: {_words(step)}. Install by hand what is missing.")
                case Copy() if not step.stage:
                    with session.step(next(numbers), total, f"COPY {' '.join(step.sources)} {step.target}"):
                        self._copy(step, workdir, session)
                case Run():
                    with session.step(next(numbers), total, f"RUN {_words(step)}"):
                        self._run(step, env, workdir, session)
        return env

    def _variables(self, step: Env, path: str) -> dict[str, str]:
        """Return the image's variables without HOME: a run has a directory of its own, which the engine names."""
        values = {name: self.places.here(value) for name, value in step.values.items() if name != "HOME"}
        return {name: value.replace("$PATH", path) for name, value in values.items()}

    def _copy(self, step: Copy, workdir: str, session: Session) -> None:
        target = self.places.path(step.target, workdir)
        into = step.target.endswith("/") or len(step.sources) > 1
        for source in step.sources:
            found = list(self.context.below(source))
            if not found and source != ".":
                raise BuildFailed(f"{source} is needed, but left out by the ignore file.")
            for entry, path in found:
                session.check()
                name = path or (entry.path.rpartition("/")[2] if into else "")
                self.context.copy(entry, target / name if name else target)

    def _run(self, step: Run, env: Mapping[str, str], workdir: str, session: Session) -> None:
        secrets = {
            name: value.decode(errors="surrogateescape") for name, value in self.request.secrets.items()
        }
        seen = (
            {} if step.phase == "system" else {**self.visible(self.request.build_args, step.phase), **secrets}
        )
        given = {name: value for name, value in seen.items() if name not in step.unseen}
        tools = {"npm_config_prefix": str(self.places.usr)} if self.plan.runtime == "node" else {}
        own = {**machine_trust(), **(self.toolchain.env if self.toolchain else {}), **tools}
        own["HOME"] = str(self.places.home)
        directory = self.places.path(workdir, "/")
        command = " && ".join(self.places.here(command) for command in step.commands)
        words = LastWords()

        def pass_on(output: bytes) -> None:
            session.write(output)
            words.feed(output)

        status = session.run(("/bin/sh", "-c", command), {**given, **own, **env}, directory, pass_on)
        if status:
            words.feed(b"\n")
            said = f": {words.said}" if words.said else ""
            raise BuildFailed(f"The build failed at {_words(step)}: exit code {_code(status)}{said}.")


def _only_divides(stage: Stage, plan: BuildPlan) -> bool:
    """Return whether a stage begins with another: it divides its files into layers, which a directory has not."""
    return stage.base in {each.name for each in plan.stages}


def _does_something(step: Instruction) -> TypeGuard[Copy | Run]:
    if isinstance(step, Copy):
        return not step.stage
    return isinstance(step, Run) and not _is_for_the_system(step)


def _is_for_the_system(step: Run) -> bool:
    """Return whether the phase installs Debian packages: nobody asked for that on the machine itself."""
    return step.commands[0].startswith("apt-get ")


def _words(step: Run) -> str:
    return " && ".join(step.commands)


def _code(status: int) -> int:
    """Return the exit code as a shell would say it."""
    return 128 - status if status < 0 else status
