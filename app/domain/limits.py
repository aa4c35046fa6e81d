"""How long what a person gives may be. Lengths are in characters."""

from __future__ import annotations

import shlex

DISPLAY_NAME = 100
COMMAND = 32 * 1024  # as text, or all parts of a list: splitting takes time that grows with the square
BUILD_COMMAND = 10_000
URL = 2000
PATH = 1000
CRON = 250
TIME_ZONE = 100
MESSAGE = 10_000  # of a flow
COMMIT_FLAG, COMMIT_FLAGS = 100, 50
VARIABLE = 100_000  # a value
VARIABLES = 1000  # of a job, a group or a run's overrides
VARIABLES_TEXT = 512 * 1024  # all names and values of them: the system starts no process with over 2 MiB
WEBHOOK_SECRET = 1000
CREDENTIAL = 20_000
VAULT_KEY = 255
USERNAME = 255
USER_NAME = 60
EMAIL = 254
SUBJECT = 255  # of an identity provider, by its standard
PASSWORD = 1000
TOKEN_NAME = 60
SHOWN_LINE = 500  # of what a stranger wrote, such as the first line of a commit's message


def split(command: str) -> list[str]:
    """The words of a command, as a shell would split it. Raises ValueError, with the rest of a sentence."""
    if len(command) > COMMAND:
        raise ValueError(f"it has {len(command):,} characters, and at most {COMMAND:,} are read")
    return shlex.split(command)
