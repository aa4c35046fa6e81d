"""What running a Ruby file does, as far as the statements at its left edge tell."""

import re
from collections.abc import Iterator

from builders.runtimes.effects import IS_EMPTY, ONLY_DEFINES, SERVES_FOR_EVER, Doing, Effect

_BLOCK_COMMENT = re.compile(r"^=begin\b.*?^=end\b[^\n]*$", re.MULTILINE | re.DOTALL)
_AFTER_THE_END = re.compile(r"^__END__$.*", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<[~-]?(['\"]?)([A-Z_]\w*)\1.*?^\s*\2$", re.MULTILINE | re.DOTALL)
_GUARD = re.compile(
    r"^if\s+(?:__FILE__\s*==\s*\$(?:0|PROGRAM_NAME)|\$(?:0|PROGRAM_NAME)\s*==\s*__FILE__)", re.MULTILINE
)
_DEFINES = re.compile(
    r"(?:class|module|def|end|else|elsif|when|rescue|ensure|require|require_relative|load|autoload|include|extend|using"
    r"|private|public|alias|attr_\w+|undef|set|configure|enable|disable|helpers|register|use)\b"
    r"|[A-Z][\w:]*\s*(?:\|\|)?=[^=~]|\$[\w:\-]+\s*(?:<<|\|\|=|=|\.unshift)|[})\]#]|[a-z_]\w*\s*=\s*(?:[\w'\"\[{:.-]+)$"
    r"|Bundler\.|Dotenv\.|Signal\.trap|trap\b|ENV\["
)
_SINATRA = re.compile(r"""^require\s+['"]sinatra['"]""", re.MULTILINE)
_SERVES = re.compile(
    r"\b(?:WEBrick::HTTPServer|Puma::(?:Server|Launcher)|TCPServer\.(?:new|open)|Rack(?:up)?::(?:Handler|Server)"
    r"|EventMachine\.run|EM\.run|Thin::Server|Sidekiq::CLI)|(?<![\w.])(?:[A-Z]\w*\.)?run!"
)


def doing_of(text: str) -> Doing:
    """Return what the file does, by its statements that are not indented and what it calls anywhere."""
    text = _AFTER_THE_END.sub("", _HEREDOC.sub("''", _BLOCK_COMMENT.sub("", text)))
    if _SINATRA.search(text) or any(_SERVES.search(line) for line in _lines(text)):
        return Doing(Effect.SERVES, SERVES_FOR_EVER)
    outermost = [line for line in _lines(text) if not line[0].isspace()]
    if not outermost:
        return Doing(Effect.DEFINES, IS_EMPTY)
    if _GUARD.search(text) or any(not _DEFINES.match(line) for line in outermost):
        return Doing(Effect.RUNS)
    return Doing(Effect.DEFINES, ONLY_DEFINES)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines that say something, without those that are comments as a whole."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line
