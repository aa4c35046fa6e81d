"""Commands as people give them, and as a process gets them."""

from __future__ import annotations

from app.domain import limits
from app.domain.errors import InvalidValue

Command = str | tuple[str, ...]  # a line that is split as a shell would, or its parts
_ECHO = 200  # characters of a command in a sentence


def argv(command: Command) -> tuple[str, ...]:
    """A command as the process gets it: parts as they are, a line split as a shell would. Raises InvalidValue."""
    try:
        return tuple(limits.split(command)) if isinstance(command, str) else command
    except ValueError as error:
        raise InvalidValue(
            "command", f"The command {str(command)[:_ECHO]!r} can't be split as a shell would: {error}."
        ) from None
