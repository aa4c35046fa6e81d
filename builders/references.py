"""Which images a Dockerfile asks for, read so that nothing a frontend would find is missed.

Text that is no instruction to BuildKit, such as a line of a here-document, may be taken for one: a word too many is
looked at, one too few would open a door. Not seen: what the `ONBUILD` lines of a base image name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile

LONGEST_WORD = 4096  # characters of a word that variables are filled in
_SYNTAX = re.compile(r"(?:#|//)\s*syntax\s*=\s*(\S+)", re.IGNORECASE)
_OFFICIAL = re.compile(
    r"(?:(?:index\.)?docker\.io/)?docker/dockerfile(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?", re.ASCII
)
_FROM = re.compile(r"\s*(?:ONBUILD\s+)*FROM\s+(.*)", re.IGNORECASE | re.DOTALL)
_ARG = re.compile(r"\s*ARG\s+(.*)", re.IGNORECASE | re.DOTALL)
_FROM_OPTION = re.compile(r"(?<![\w.])from\s*=\s*([^\s,]+)", re.IGNORECASE)
_WEB = re.compile(
    r"\b(?:https?|git|ssh)://(?:[^\s/@]*@)?(\[[0-9A-Fa-f:.]+\]|[\w.-]+)", re.ASCII | re.IGNORECASE
)
_ADD = re.compile(r"\s*(?:ONBUILD\s+)*ADD\s", re.IGNORECASE)
_SETTING = re.compile(r"\s*(?:ONBUILD\s+)*(?:ARG|ENV)\s", re.IGNORECASE)
_USED = re.compile(r"\$\{?(\w+)", re.ASCII)
_HIDDEN_HOST = re.compile(r"\b(?:https?|git|ssh)://[^\s/]*\$[^\s/]*|\$\S*://\S*", re.ASCII | re.IGNORECASE)
_VARIABLE = re.compile(r"(?P<name>\w+)(?:(?P<how>:?[-+?])(?P<word>.*))?", re.ASCII | re.DOTALL)
_RUN = re.compile(r"\s*(?:ONBUILD\s+)*RUN\s+(.*)", re.IGNORECASE | re.DOTALL)
_PRIVILEGES = ("--network", "--security")
_HARMLESS = ("--network=default", "--network=none", "--security=sandbox")
_QUOTES = str.maketrans("", "", "\"'\\`")


class Unclear(Exception):
    """What is named can't be known before the build; `str()` is the word."""


def foreign_frontend(text: str, build_args: Mapping[str, str]) -> str | None:
    """Return the frontend that would read the Dockerfile, where it is none of docker's own."""
    named = [*_syntaxes(text.removeprefix("\ufeff")), build_args.get("BUILDKIT_SYNTAX") or ""]
    return next((each for each in named if each and not _OFFICIAL.fullmatch(each)), None)


def _syntaxes(text: str) -> Iterator[str]:
    """Return the syntaxes named before the first instruction. A text in JSON is for another frontend in any case."""
    if text.lstrip().startswith("{"):
        yield "one that reads JSON"
    for line in text.split("\n"):
        if named := _SYNTAX.match(line.strip()):
            yield named[1]
        elif line.strip() and not line.lstrip().startswith(("#", "//")):
            return


def references(text: str, build_args: Mapping[str, str]) -> frozenset[str]:
    """Return the images (or stages) of `FROM` and of every option `from`. Raises Unclear for an expansion that
    isn't known.
    """
    found: set[str] = set()
    text = text.removeprefix("\ufeff")
    for escape in _escapes(text):
        joined = _joined(text, escape)
        variables = _arguments(joined, build_args, escape)
        for line in (*joined.split("\n"), *text.split("\n")):
            if match := _FROM.fullmatch(line):
                words = _words(match[1], escape)
                found |= {_expanded(word, variables, escape) for word in words if not word.startswith("--")}
        found |= {each[1] for each in _FROM_OPTION.finditer(joined.translate(_QUOTES))}
    return frozenset(found - {""})


def plain(text: str) -> str:
    """Return a Dockerfile without the marks that could hide a name in it: quotes, and lines that go on."""
    return "\n".join(_joined(text, escape).translate(_QUOTES) for escape in _escapes(text))


def privileged_steps(text: str) -> frozenset[str]:
    """Return the options of `RUN` that ask for the machine's own network, or for more than a step may do.

    All but those that ask for no more, or for less, than a step has anyway.
    """
    text, found = text.removeprefix("\ufeff"), set[str]()
    for escape in _escapes(text):
        for line in (*_joined(text, escape).split("\n"), *text.split("\n")):
            match = _RUN.fullmatch(line)
            words = [word.translate(_QUOTES) for word in _words(match[1], escape)] if match else []
            found.update(takewhile(lambda word: word.startswith("--"), words))
    return frozenset(word for word in found if word.startswith(_PRIVILEGES) and word not in _HARMLESS)


def web_hosts(text: str, build_args: Mapping[str, str]) -> frozenset[str]:
    """Return the hosts of addresses on lines of `ADD`, which the engine itself fetches.

    All values that the Dockerfile gives to a variable on such a line are looked at. Raises Unclear where a variable is
    in the name of a host.
    """
    lines = plain(text).split("\n")
    found = [line for line in lines if _ADD.match(line)]
    named: set[str] = set()
    for line in found:  # which grows by what the variables on its lines are set to
        for name in sorted(set(_USED.findall(line)) - named):
            named.add(name)
            found += [each for each in lines if _SETTING.match(each) and re.search(rf"\b{name}\b", each)]
            found += [build_args.get(name, "")]
        if hidden := _HIDDEN_HOST.search(line):
            raise Unclear(hidden[0])
    return frozenset(host for line in found for host in _WEB.findall(line))


def _escapes(text: str) -> tuple[str, ...]:
    """A directive may make it the backtick; whether it is one is not decided here."""
    return ("\\", "`") if re.search(r"escape\s*=", text, re.IGNORECASE) else ("\\",)


def _joined(text: str, escape: str) -> str:
    """Return the text with the lines that go on as one, and without comments."""
    kept = "\n".join(line for line in text.replace("\r", "").split("\n") if not line.lstrip().startswith("#"))
    return re.sub(rf"{re.escape(escape)}[^\S\n]*\n(?:[^\S\n]*\n)*", "", kept)


def _arguments(joined: str, build_args: Mapping[str, str], escape: str) -> dict[str, str]:
    """Return what FROM knows: the ARG lines before the first one, as the build sets them."""
    known: dict[str, str] = {}
    for line in joined.split("\n"):
        if _FROM.fullmatch(line):
            break
        match = _ARG.fullmatch(line)
        for word in _words(match[1], escape) if match else ():
            name, has_default, default = word.partition("=")
            if name in build_args:
                known[name] = build_args[name]
            elif has_default:
                known[name] = _expanded(default, known, escape)
    return known


def _words(text: str, escape: str) -> list[str]:
    """Split the line where a quote doesn't hold it together; the quotes stay."""
    words, quote, skip = [""], "", False
    for sign in text:
        if skip:
            skip = False
        elif sign == escape and quote != "'":
            skip = True
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign.isspace():
            words.append("")
            continue
        words[-1] += sign
    return [word for word in words if word]


def _expanded(word: str, variables: Mapping[str, str], escape: str) -> str:
    """Return a word without its quotes and with its variables filled in, as a shell would."""
    if len(word) > LONGEST_WORD:
        raise Unclear(f"{word[:20]}…")
    made, at, quote = "", 0, ""
    while at < len(word):
        sign = word[at]
        if quote == "'" and sign != "'":
            made += sign
        elif sign == escape:
            at += 1
            made += word[at : at + 1]
        elif sign in "\"'" and quote in ("", sign):
            quote = "" if quote else sign
        elif sign == "$":
            value, length = _variable(word[at + 1 :], variables, escape)
            made, at = made + value, at + length
        else:
            made += sign
        at += 1
    return made


def _variable(rest: str, variables: Mapping[str, str], escape: str) -> tuple[str, int]:
    """Return the value of what follows a `$`, and how many characters that is."""
    if not rest.startswith("{"):
        name = re.match(r"[A-Za-z_]\w*|.?", rest, re.ASCII | re.DOTALL)
        assert name is not None
        return variables.get(name[0], ""), len(name[0])
    end = _closing(rest)
    match = _VARIABLE.fullmatch(rest[1:end]) if end else None
    if match is None:
        raise Unclear(f"${rest}")
    value, how = variables.get(match["name"]), match["how"] or ""
    is_there = bool(value) if how.startswith(":") else value is not None
    if how.endswith("+"):
        value = _expanded(match["word"], variables, escape) if is_there else ""
    elif how.endswith("-") and not is_there:
        value = _expanded(match["word"], variables, escape)
    return value or "", end + 1


def _closing(rest: str) -> int:
    """Return where the brace that opens a text is closed; 0 if nowhere."""
    depth = 0
    for at, sign in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return at
    return 0
