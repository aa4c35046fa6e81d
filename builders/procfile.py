"""Procfile: one process a line, `name: command`."""

import re

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)[ \t]*:[ \t]*(\S.*)")


def parse_procfile(text: str) -> dict[str, str]:
    """Return commands by process name, in the order of the file; comments and other lines are passed over.

    A name that is given twice has its last command.
    """
    processes: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match:
            processes.pop(match[1], None)
            processes[match[1]] = match[2]
    return processes
