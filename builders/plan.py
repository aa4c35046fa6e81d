"""The plan: everything decided about a build, as data. Same tree and settings, same plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from builders.instructions import Stage

Mode = Literal[
    "auto", "dockerfile", "go", "java", "php", "python", "ruby", "rust", "node", "cmake", "shell", "procfile"
]
"""What decides how an image is made: a look at the tree, where a Dockerfile wins; the Dockerfile; or one runtime."""


class PlanError(Exception):
    """The repository or its build settings can't be built as they are; `str()` is a sentence with the fix."""


class NotRecognised(PlanError):
    """Nothing here says what this repository is."""


class NoStartCommand(PlanError):
    """The runtime is clear, but not what a job should run; the sentence lists the candidates."""


@dataclass(frozen=True)
class BuildSettings:
    """What the user chose. Paths start at the repository's root; None leaves the choice to detection.

    `start_required=False` is for images whose jobs bring their own command: a missing start command is then a
    warning, and a container started without a command says so and exits 64.
    """

    mode: Mode = "auto"
    root_directory: str = "/"
    dockerfile: str = "/Dockerfile"
    target: str | None = None
    install_command: str | None = None
    build_command: str | None = None
    run_command: str | None = None
    start_required: bool = True


@dataclass(frozen=True)
class BuildPlan:
    """What will be built, and why.

    - `root_directory`: the build context, relative to the repository's root (`.` is the root itself).
    - `command`: the image's command in exec form; empty if the repository's own Dockerfile decides.
    - `run_command`: the same as people write it. `processes`: other commands the repository names.
    - `reasons`: one sentence a decision. `warnings`: what is likely not meant, or won't last.
    - `dockerfile_path`: the repository's own Dockerfile, relative to the repository's root, with its text in
      `dockerfile_text` and its own ignore file, if any, in `dockerignore_text`; else `stages` is the recipe.
    """

    runtime: str
    version: str | None = None
    version_source: str | None = None
    package_manager: str | None = None
    install_command: str | None = None
    build_command: str | None = None
    run_command: str | None = None
    processes: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    root_directory: str = "."
    command: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    dockerfile_path: str | None = None
    dockerfile_text: str | None = field(default=None, repr=False)
    dockerignore_text: str | None = field(default=None, repr=False)
    target: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as shown to people and scripts: every decision, not the recipe."""
        return {
            "runtime": self.runtime,
            "version": self.version,
            "version_source": self.version_source,
            "package_manager": self.package_manager,
            "install_command": self.install_command,
            "build_command": self.build_command,
            "run_command": self.run_command,
            "command": list(self.command),
            "processes": dict(self.processes),
            "root_directory": self.root_directory,
            "dockerfile": self.dockerfile_path,
            "target": self.target,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
        }
