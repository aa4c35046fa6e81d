"""What pages tell of people: who may what, by the rights of the code itself, and what a browser is called."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.principals import INSTALLATION, RIGHTS_OF, Right, Role

WORDS = {
    Right.READ: "See jobs, builds, runs, logs and decisions",
    Right.RUN: "Run, build, cancel, pause, replay, approve",
    Right.DEPLOY: "Deploy, promote, roll back",
    Right.CHANGE: "Create, change and delete jobs, apps, pipelines, flows",
    Right.SKIP_STAGES: "Promote past a stage",
    Right.SECRETS: "Set secrets, credentials and webhook secrets",
    Right.SHELL: "Open a shell in a running container",
    Right.AUDIT: "Read the audit log",
    Right.PROJECTS: "Create and delete projects, set their limits",
    Right.TOKENS: "Create and revoke API tokens",
    Right.PRUNE: "Clean up, see backups",
    Right.PEOPLE: "Invite, change and remove users",
}
# The first that a browser's text has is its name: most of them call themselves by others' names, too.
BROWSERS = {
    "Edg/": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
    "curl/": "curl",
}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


@dataclass(frozen=True)
class RightRow:
    """A right in words, whether each role has it, in the order of `Role`, and whether only for all projects."""

    words: str
    has: tuple[bool, ...]
    is_of_all: bool


def who_may_what() -> list[RightRow]:
    return [
        RightRow(words, tuple(right in RIGHTS_OF[role] for role in Role), right in INSTALLATION)
        for right, words in WORDS.items()
    ]


def device(agent: str) -> str:
    """A browser's `User-Agent` in short, such as `Firefox on Linux`; empty if nothing of it is known."""
    browser = next((name for mark, name in BROWSERS.items() if mark in agent), "")
    system = next((name for mark, name in SYSTEMS.items() if mark in agent), "")
    return " on ".join(filter(None, (browser, system)))
