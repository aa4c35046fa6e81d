"""Commands as people write them, turned into the exec form a container starts without a shell in between.

A shell as process 1 doesn't pass SIGTERM on, so a job would be killed instead of stopped.
"""

import re
import shlex

_SHELL_WORDS = frozenset(
    [
        ".",
        ":",
        "[",
        "alias",
        "bg",
        "break",
        "case",
        "cd",
        "continue",
        "do",
        "done",
        "elif",
        "else",
        "esac",
        "eval",
        "exec",
        "exit",
        "export",
        "fg",
        "fi",
        "for",
        "function",
        "if",
        "in",
        "jobs",
        "local",
        "read",
        "readonly",
        "return",
        "set",
        "shift",
        "source",
        "test",
        "then",
        "times",
        "trap",
        "type",
        "ulimit",
        "umask",
        "unalias",
        "unset",
        "until",
        "wait",
        "while",
        "{",
        "}",
        "!",
        "[[",
        "(",
    ]
)
LONGEST = 32 * 1024  # characters: splitting takes time that grows with the square
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def exec_form(command: str) -> tuple[str, ...]:
    """Return the argv of a command line; one that needs a shell gets `/bin/sh -c`, replaced by its last command.

    Raises ValueError, with a sentence, for an empty or very long command or an open quotation.
    """
    command = command.strip()
    if len(command) > LONGEST:
        raise ValueError(f"The command has {len(command):,} characters, and at most {LONGEST:,} are read.")
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(f"The command {command!r} can't be read: {str(error).lower()}.") from error
    if not words:
        raise ValueError("The command is empty.")
    if _is_plain(command, words[0]):
        return words
    return "/bin/sh", "-c", _exec_last(command)


def join(argv: tuple[str, ...]) -> str:
    """Join an argv as people write it; `exec_form` splits it again."""
    return shlex.join(argv)


def _is_plain(command: str, first: str) -> bool:
    if _ASSIGNMENT.match(command) or first in _SHELL_WORDS:
        return False
    return not any(special for _, special in _scan(command))


def _scan(command: str) -> list[tuple[str, bool]]:
    """Yield each character, and whether a shell would see more in it than itself."""
    seen: list[tuple[str, bool]] = []
    quote, escaped, word_start = "", False, True
    for character in command:
        special = False
        if escaped:
            special, escaped = character == "\n", False
        elif quote == "'":
            quote = "" if character == "'" else quote
        elif character == "\\":
            escaped = True
        elif character in "$`":
            special = True
        elif quote == '"':
            quote = "" if character == '"' else quote
        elif character in "'\"":
            quote = character
        else:
            special = character in "|&;<>()*?[\n" or (word_start and character in "#~")
        word_start = not quote and not escaped and character in " \t"
        seen.append((character, special))
    return seen


def _exec_last(command: str) -> str:
    """Turn `cd a && node b` into `cd a && exec node b`, where that changes nothing but who gets the signals."""
    scanned = _scan(command)
    operators = "".join(character if special else " " for character, special in scanned)
    end = max((match.end() for match in re.finditer(r"&&|\|\||;|\n", operators)), default=0)
    head, last = command[:end], command[end:].lstrip()
    space = command[end : len(command) - len(last)]
    rest = operators[len(head) + len(space) :]
    first = last.split(maxsplit=1)[0] if last else ""
    if (
        not last
        or first in _SHELL_WORDS
        or re.search(r"[|&()\n]", rest)
        or re.search(r"[(|]|(?<!&)&(?!&)", operators)
    ):
        return command
    if any(word in _SHELL_WORDS - {"cd", "export", "set", "."} for word in re.findall(r"\S+", head)):
        return command
    return f"{head}{space}exec {'env ' if _ASSIGNMENT.match(last) else ''}{last}"
