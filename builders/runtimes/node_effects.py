"""What running a JavaScript or TypeScript file does, as far as its outermost statements tell."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from builders.runtimes.effects import IS_EMPTY, ONLY_DEFINES, SERVES_FOR_EVER, Doing, Effect

MOST_CHARACTERS = 200_000  # more is not looked at, and taken for a program
MOST_NESTED = 20  # blocks in blocks
# Comments, texts and regular expressions; those of the last kind only where no value stands before the slash.
_TEXTS = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|'(?:\\.|[^'\\\n])*(?:'|$)|\"(?:\\.|[^\"\\\n])*(?:\"|$)|`(?:\\.|[^`\\])*(?:`|\Z)"
    r"|(?P<before>[=(,:\[!&|?{};])[ \t]*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/\w*",
    re.DOTALL | re.MULTILINE,
)
_PARTS = re.compile(r"[()\[\]{};\n]|[^()\[\]{};\n]+")
_GOES_ON = re.compile(
    r"(?:[=+\-*/%&|^<>?:,.!~]|\b(?:return|new|await|typeof|default|of|in|extends|void))\s*$"
)
_CONTINUES = re.compile(r"\s*(?:[.,?:=*/%&|^<>{]|[+-](?![+-]))")
_DEFINITION = re.compile(
    r"(?:export\b|import\b(?!\s*[(.])|(?:async\s+)?function\b|(?:abstract\s+)?class\b|interface\b|type\s+\w"
    r"|(?:const\s+)?enum\b|declare\b|namespace\b|(?:module\.)?exports\b|@\w|#!)"
)
_BLOCK = re.compile(r"(?:if|else|for|while|do|try|catch|finally|switch)\b|\{")
_HEAD = re.compile(r"(?:else\b\s*)?(?:(?:if|for(?:\s+await)?|while)\s*\(\)|else\b)?\s*")
_ASSIGNMENT = re.compile(r"(?:(?:const|let|var)\b[^=]*|[\w$.\[\]]+\s*)=(?![=>])(?P<value>.*)", re.DOTALL)
_CALL = re.compile(
    r"(?:(?:await|void|return|new|yield)\s+|[!+-])*(?P<name>[^=]*?)\s*\((?:'\.')?\)(?=\W*$|\s*\.)", re.DOTALL
)
_SERVING = re.compile(r"\.listen\(\)|\b(?:Bun|Deno)\.serve\(\)")
_LISTENS = re.compile(r"\.listen\s*\(|\b(?:Bun|Deno)\.serve\s*\(")
_WEB = re.compile(
    r"""['"](?:node:)?(?:express|fastify|koa|https?|http2|@hapi/hapi|restify|polka|hono|@hono/node-server|h3"""
    r"""|socket\.io|ws|@nestjs/core|apollo-server|@apollo/server|micro|connect|sails)['"]"""
)
_SETTING_UP = re.compile(
    r"(?:app|router|server|fastify|api|routes?)\.(?!start|run|main)\w+|.*\.(?:config|install|register)"
    r"|process\.(?:on|once|setMaxListeners|env[\w.]*)|Object\.\w+|mongoose\.set|functions\.\w+|jest\.\w+"
    r"|describe|it|test|beforeEach|afterEach|beforeAll|afterAll|require"
)
_BROWSER = re.compile(
    r"(?:window|document|self|jQuery|\$|ReactDOM|addEventListener|customElements|navigator|angular|chrome"
    r"|createRoot)(?![\w$])"
)
_OWN_FUNCTION = re.compile(
    r"\bfunction\s*\*?\s*([\w$]+)|\b(?:const|let|var)\s+([\w$]+)\s*=\s*(?:async\b\s*)?(?:function\b|\([^()]*\)\s*=>|[\w$]+\s*=>)"
)
_FACTORY = re.compile(r"(?:create|make|get|build|init|setup|load|use)(?=[A-Z]|$)")


@dataclass(frozen=True)
class Statement:
    """`flat` has nothing inside of its brackets; `blocks` are the texts in its braces."""

    flat: str
    blocks: tuple[str, ...]


def doing_of(text: str) -> Doing:
    """Return what running the file does. What is too large to be looked at is taken for a program."""
    if len(text) > MOST_CHARACTERS:
        return Doing(Effect.RUNS)
    plain = _TEXTS.sub(_blank, text)
    module = _Module(plain)
    effect = module.block(plain)
    if effect is Effect.RUNS and _LISTENS.search(plain) and _WEB.search(text):
        effect = Effect.SERVES
    if effect is Effect.RUNS:
        return Doing(effect)
    if effect is Effect.SERVES:
        return Doing(effect, SERVES_FOR_EVER)
    if module.is_for_browsers:
        return Doing(effect, "is for a browser")
    return Doing(effect, ONLY_DEFINES if plain.strip() else IS_EMPTY)


class _Module:
    def __init__(self, plain: str) -> None:
        self.functions = {name for found in _OWN_FUNCTION.findall(plain) for name in found if name}
        self.is_for_browsers = False

    def block(self, text: str, depth: int = 0) -> Effect:
        if depth > MOST_NESTED:
            return Effect.RUNS
        return max((self.statement(each, depth) for each in _statements(text)), default=Effect.DEFINES)

    def statement(self, each: Statement, depth: int) -> Effect:
        flat = each.flat
        if _DEFINITION.match(flat):
            return Effect.RUNS if re.fullmatch(r"import\s*'\.'", flat) else Effect.DEFINES
        if _BLOCK.match(flat):
            inside = [self.block(text, depth + 1) for text in each.blocks]
            return max([self.expression(_HEAD.sub("", flat, count=1)), *inside])
        if assigned := _ASSIGNMENT.match(flat):
            return self.assigned(assigned["value"].strip())
        return self.expression(flat)

    def assigned(self, value: str) -> Effect:
        """Return what working a value out does; what is only made from elsewhere is defined."""
        if _SERVING.search(value):
            return Effect.SERVES
        called = _CALL.match(value)
        is_own = (
            called is not None and called["name"] in self.functions and not _FACTORY.match(called["name"])
        )
        return Effect.RUNS if is_own or re.match(r"await\b", value) else Effect.DEFINES

    def expression(self, flat: str) -> Effect:
        if _SERVING.search(flat):
            return Effect.SERVES
        if re.search(r"require\('\.'\)$", flat):
            return Effect.RUNS
        called = _CALL.match(flat)
        if called is None:
            return Effect.DEFINES
        if _BROWSER.match(called["name"]):
            self.is_for_browsers = True
            return Effect.DEFINES
        return Effect.DEFINES if _SETTING_UP.fullmatch(called["name"]) else Effect.RUNS


def _blank(found: re.Match[str]) -> str:
    """Leave nothing of a text but that it is one, and whether it is the path of a file beside."""
    text = found[0]
    if text.startswith(("//", "/*")):
        return "\n" if "\n" in text else " "
    return (found["before"] or "") + ("'.'" if text[1:2] == "." else "''")


def _statements(text: str) -> Iterator[Statement]:
    """Yield the outermost statements: they end at semicolons, and at ends of lines that nothing goes on behind."""
    flat: list[str] = []
    blocks: list[str] = []
    depth, begun = 0, 0
    for part in _PARTS.finditer(text):
        word = part[0]
        if word in "([{":
            begun = part.end() if depth == 0 else begun
            flat += [word] if depth == 0 else []
            depth += 1
        elif word in ")]}":
            depth = max(0, depth - 1)
            if depth == 0:
                inside = text[begun : part.start()]
                blocks += [inside] if word == "}" else []
                flat += ["'.'", word] if inside.strip() == "'.'" else [word]
        elif depth == 0 and (word == ";" or (word == "\n" and _ends("".join(flat), text, part.end()))):
            yield Statement("".join(flat).strip(), tuple(blocks))
            flat, blocks = [], []
        elif depth == 0:
            flat.append(word)
    yield Statement("".join(flat).strip(), tuple(blocks))


def _ends(flat: str, text: str, position: int) -> bool:
    return not _GOES_ON.search(flat) and not _CONTINUES.match(text, position)
