"""Which line of a failed step says what went wrong: as tools of several languages put it."""

import pytest

from builders.backends.failures import explain_failure
from builders.backends.last_words import MOST_CHARACTERS, LastWords
from builders.backends.progress import ProgressReader

NPM_LOG = "npm error A complete log of this run can be found in: /root/.npm/_logs/x.log"


def said(*lines: str) -> str:
    words = LastWords()
    for line in lines:
        words.take(line)
    return words.said


@pytest.mark.parametrize(
    ("expected", "lines"),
    [
        ("ERROR: No matching distribution found for x", ["Collecting x", "{}"]),
        ("npm error 404 'x@1' is not in this registry", ["npm error code E404", "{}.", "npm error 404"]),
        ("npm error notarget No matching version found for ms@99", ["{}.", NPM_LOG]),
        (
            "error[E0425]: cannot find value `x`",
            ["{}", "error: could not compile `a` due to 1 previous error"],
        ),
        ("./job.go:3:8: undefined: x", ["{}", "make: *** [build] Error 1"]),
        ("[ERROR] /app/A.java:[3,1] cannot find symbol", ["{}", "[ERROR] -> [Help 1]", "[ERROR]"]),
        ("Could not find gem 'x' in any of the sources", ["{}.", "hint: see the log"]),
        ("ModuleNotFoundError: No module named 'x'", ["Traceback (most recent call last):", "{}"]),
        ("\x1b[31mfatal:\x1b[0m it is red", ["{}"]),
        ("two", ["one", "{}", "", "   "]),
        ("", []),
    ],
)
def test_the_line_that_says_why(expected: str, lines: list[str]) -> None:
    plain = expected.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert said(*(line.replace("{}", expected) for line in lines)) == plain


def test_a_line_that_nobody_would_read_is_no_reason() -> None:
    assert said("error: short", "error: " + "x" * MOST_CHARACTERS) == "error: short"


def test_output_comes_in_any_pieces() -> None:
    words = LastWords()
    for piece in (b"one\nerr", b"or: \xff bad", b"\nmore\n"):
        words.feed(piece)
    assert words.said == "error: \ufffd bad"


def test_it_is_said_with_the_step_that_failed_and_of_no_other() -> None:
    reader = ProgressReader(lambda _: None, lambda: 0.0)
    reader.feed(
        b"#5 [build 2/3] RUN make\n#6 [other 1/1] RUN x\n#5 0.1 error: no such file a.c\n#6 0.1 error: other\n"
        b"#5 0.2 make: *** [all] Error 1\n#5 ERROR: executor failed running [/bin/sh -c make]: exit code: 2\n"
    )
    reader.close()
    assert str(explain_failure(reader, 1)) == (
        "The build failed at [build 2/3] RUN make: exit code 2: error: no such file a.c."
    )
