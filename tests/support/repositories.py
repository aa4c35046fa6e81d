"""Real Git repositories for tests, with fixed authors and dates so that SHAs are always the same."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada Example",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada Example",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
_FIRST_COMMIT_AT = 1_767_225_600


@dataclass
class Repository:
    """A repository with a work tree. `commit` writes files (None removes one) and returns the new SHA."""

    path: Path
    _clock: int = field(default=_FIRST_COMMIT_AT, init=False)

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", "--template=")

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        dates = {"GIT_AUTHOR_DATE": f"{self._clock} +0000", "GIT_COMMITTER_DATE": f"{self._clock} +0000"}
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=_ENVIRONMENT | dates, capture_output=True, text=True
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None], message: str = "Change") -> str:
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        self.git("add", "--all")
        return self.commit_staged(message)

    def commit_staged(self, message: str = "Change") -> str:
        self._clock += 60
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head
