"""What running a PHP file does, as far as the statements at its left edge tell."""

import re

from builders.runtimes.effects import IS_EMPTY, ONLY_DEFINES, SERVES_FOR_EVER, Doing, Effect

_COMMENT = re.compile(r"/\*.*?\*/|(?:^|(?<=\s))(?://|#(?!\[))[^\n]*", re.DOTALL)
_DEFINES = re.compile(
    r"(?:declare\s*\(|namespace\b|use\b|require|include|(?:abstract |final |readonly )*class\b|interface\b|trait\b"
    r"|enum\b|function\b|const\b|define\s*\(|ini_set\s*\(|error_reporting\s*\(|set_\w+_handler\s*\("
    r"|date_default_timezone_set|return\b|#\[|[{})\];]|\?>|<\?php|<\?=?)"
    r"|\$\w+\s*=\s*(?:require|include|new\s|\[|array\s*\(|['\"\d]|true|false|null)",
    re.IGNORECASE,
)
_SERVES = re.compile(
    r"\b(?:stream_socket_server|socket_listen|Swoole\\\\?(?:Http|WebSocket)?\\\\?Server|ReactPHP|React\\\\Http"
    r"|Workerman\\\\Worker::runAll)\b"
)
_PAGE = re.compile(
    r"<(?:!doctype|html|body)\b|\$_(?:GET|POST|REQUEST|SESSION)\b|\bheader\s*\(", re.IGNORECASE
)


def doing_of(text: str) -> Doing:
    """Return what the file does; one that answers a browser is a page and no program."""
    code = _COMMENT.sub("", text.partition("__halt_compiler")[0])
    if _SERVES.search(code):
        return Doing(Effect.SERVES, SERVES_FOR_EVER)
    if _PAGE.search(code):
        return Doing(Effect.SERVES, "is a page, which a web server runs")
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#!")]
    outermost = [line for line in lines if not line[0].isspace() and line.strip() not in ("<?php", "?>")]
    if not outermost:
        return Doing(Effect.DEFINES, IS_EMPTY)
    return (
        Doing(Effect.RUNS)
        if any(not _DEFINES.match(line) for line in outermost)
        else Doing(Effect.DEFINES, ONLY_DEFINES)
    )
