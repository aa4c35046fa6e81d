"""Path rules: Git's own answers, and no rule and no name that takes long."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.paths import WORK, Matching, asks_for_build
from builders.wildcards import Work

LETTERS = st.sampled_from([*"ab/-!^.*?[]\\ ", "ü", "\n", "\udcff", "Z", "9", "_"])
PIECES = st.one_of(
    LETTERS,
    st.sampled_from(
        [
            "**", "**/", "/**", "/**/", "***", "*", "?", "a", "b", "/", "\\*", "\\\\", "[ab]", "[!a]", "[^b-]", "[]a]",
            "[!]a]", "[a-c]", "[z-a]", "[[:alpha:]]", "[[:punct:]x]", "[[:space:][:digit:]]", "[[:nope:]]", "[\\]a]",
            "[a\\-z]", "[--0]", "[+-9]", "[\\a-\\c]", "[[:a]", "[[a]", "**\\/", "[", "[a", "[[:alpha:", " ", "\\ ",
        ]
    ),
)  # fmt: skip
PATTERNS = st.builds(
    "".join,
    st.tuples(st.sampled_from(["", "", "!", "/", "!/", "#", "\\#", "\\!"]), st.lists(PIECES, max_size=8).map("".join),
              st.sampled_from(["", "", "/", " ", "\\ ", "  ", "\r", "/*", "/**"])),
).filter(lambda pattern: "\n" not in pattern)  # fmt: skip
PARTS = st.text(
    st.sampled_from([*"abZ9-!^.*?[]\\ _#:\t\v", "ü", "\n", "\udcff", "\x7f"]), min_size=1, max_size=6
)
NAMES = st.lists(PARTS.filter(lambda part: part not in (".", "..")), min_size=1, max_size=5).map("/".join)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ignoring")
    subprocess.run(["git", "init", "--quiet", path], check=True)
    return path


def ignored_by_git(repository: Path, patterns: list[str], names: list[str]) -> set[str]:
    rules = "".join(f"{pattern}\n" for pattern in patterns)
    (repository / ".git/info/exclude").write_bytes(rules.encode(errors="surrogateescape"))
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=repository,
        input="".join(f"./{name}\0" for name in names).encode(errors="surrogateescape"),
        capture_output=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return {
        name.decode(errors="surrogateescape").removeprefix("./") for name in done.stdout.split(b"\0") if name
    }


def asks(patterns: list[str], mode: str, names: list[str]) -> bool | None:
    return Matching().asks_for_build(1, patterns, mode, frozenset(names))  # type: ignore[arg-type]


def ignored(patterns: list[str], name: str) -> bool:
    allowed = asks(patterns, "allow", [name])
    assert asks(patterns, "ignore", [name]) is not allowed
    assert allowed is not None
    return allowed


@settings(max_examples=100)
@given(st.lists(PATTERNS, min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=20, unique=True))
@example(["a**/b"], ["ab", "ax/b", "a/x/b", "ax/y/b"])
@example(["docs/", "!docs/keep"], ["docs/keep", "docs/a", "docs"])
def test_git_ignores_the_same_files(repository: Path, patterns: list[str], names: list[str]) -> None:
    found = {name for name in names if ignored(patterns, name)}
    assert found == ignored_by_git(repository, patterns, names)
    assert asks(patterns, "allow", names) is bool(found)
    assert asks(patterns, "ignore", names) is (found != set(names))


def test_names_of_any_number_and_shape_are_matched() -> None:
    many = [f"src/part{number % 70}/file-{number}.py" for number in range(9_000)]
    assert asks(["/src/**/file-*.py"], "ignore", many) is False
    assert asks(["/src/**/file-*.py", "!file-8999.*"], "ignore", many) is True
    assert asks(["file-8999.py"], "allow", many) is True
    assert asks(["file-9000.py"], "allow", many) is False
    odd = ["", "/", "//", "a//b", "a/", "\0", "\ud800", "x" * 5_000]
    assert asks(["nothing", "!", "/", "["], "allow", odd) is False
    assert asks(["*"], "ignore", odd[-2:]) is False


HOSTILE = {
    "one letter": ["*a*a*a*a*a*ab"],
    "separators": ["*_*_*_*_test.go", "*-*-*-*.md"],
    "directories": ["**/a/" * 8 + "x", "/**/a" * 100 + "/x"],
    "any character": ["*a" + "?" * 900 + "b"],
    "sets": ["*" + "[ab]*" * 190 + "c"],
    "long": ["*a" * 499 + "b"],
}


@pytest.mark.parametrize("rules", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["a" * 4_096, "a_" * 2_048, "a-" * 2_048, "a/" * 2_048 + "a"])
def test_no_rule_makes_matching_explode(rules: list[str], name: str) -> None:
    """The work is at most pieces times characters, give or take what finding each character costs."""
    work = Work(2**62)
    matched = asks_for_build(rules, "allow", [name], work)
    assert matched is False
    assert 2**62 - work.left <= (sum(map(len, rules)) + 300) * (len(name) + 2_000)


@pytest.mark.parametrize("size", [1, 1_000])
def test_what_is_too_much_is_told_after_bounded_work(size: int) -> None:
    """500 rules of 1,000 characters, 3,000 names: what can't be known in time lets the push build."""
    rules = ["*a" * 498 + f"b{number}" for number in range(500)]
    names = frozenset(f"{'a' * size}{number}" for number in range(3_000))
    matching = Matching()
    assert matching.asks_for_build(1, rules, "allow", names) is (False if size == 1 else None)
    again = matching.asks_for_build(1, ["*.md"], "allow", names)
    assert again is (False if size == 1 else None)  # the project has spent it all
    assert matching.asks_for_build(2, ["*.md"], "allow", names) is False  # another has not


def test_work_is_granted_for_large_honest_pushes() -> None:
    rules = [f"/services/service-{number}/**/*.md" for number in range(500)]
    names = [
        f"services/service-{number % 500}/source/package/module_{number}_of_many.py"
        for number in range(3_000)
    ]
    work = Work(WORK)
    assert asks_for_build(rules, "allow", names, work) is False
    assert WORK - work.left < WORK / 3
