"""Where the absolute paths of a plan lie in an image that is a directory."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from builders import layout

# Those the plans themselves name; what a command of the user's says about /etc or /tmp means this machine's.
_PLACES = {
    layout.WORKDIR: "app",
    "/src": "src",
    "/opt": "opt",
    "/out": "bin",
    "/root": "home",
}
_NAMED = re.compile(rf"(?<![\w./~$}}@%-])({'|'.join(map(re.escape, _PLACES))})(?![\w.-])")


@dataclass(frozen=True)
class Places:
    """The directories of one build. `directory` is the image; `src` and `home` are there only while it is built."""

    directory: Path

    @property
    def app(self) -> Path:
        return self.directory / "app"

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def usr(self) -> Path:
        """The directory where npm installs programs for all."""
        return self.directory / "usr"

    @cached_property
    def scratch(self) -> tuple[Path, ...]:
        return self.home, self.directory / "src"

    def here(self, text: str) -> str:
        """Return a command, a variable's value or a path of the plan with its places as they are on this machine."""
        return _NAMED.sub(lambda found: str(self.directory / _PLACES[found[1]]), text)

    def path(self, of_plan: str, workdir: str) -> Path:
        """Return where a path of the plan is; it is relative to `workdir` of the plan unless absolute."""
        return Path(self.here(str(Path(workdir, of_plan))))
