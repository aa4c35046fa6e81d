"""What a build without containers decides: which files it sees, where things lie, when it starts anew."""

import os
import posixpath
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.backends.base import BackendUnavailable, BuildFailed, BuildRequest, BuiltImage, request_for
from builders.backends.context import Context, read_context
from builders.backends.ignoring import WORK, Ignore
from builders.backends.local import LocalBackend, image_key
from builders.backends.places import Places
from builders.backends.toolchains import find_toolchain
from builders.detect import make_plan
from builders.plan import BuildPlan, BuildSettings
from builders.source import SourceTree

PLACES = Places(Path("/images/key"))


@pytest.mark.parametrize(
    ("text", "out", "kept"),
    [
        (".git\n**/.env", [".git", ".git/config", ".env", "a/b/.env"], ["a.git", "env", ".environment"]),
        ("# no\n\n/build/\n", ["build", "build/x/y"], ["src/build/x", "builds"]),
        ("*.md\n!README.md", ["NOTES.md"], ["README.md", "docs/NOTES.md"]),
        ("**\n!src\nsrc/secret", ["main.py", "src/secret/key"], ["src/main.py", "src/a/b"]),
        ("a?c\nx[0-9]\n", ["abc", "x7"], ["ac", "abbc", "xy", "x77"]),
        ("docs/**/*.txt", ["docs/a.txt", "docs/b/c/d.txt"], ["a.txt", "docs/a.md"]),
        ("../outside\n.\n/\n", [], ["outside", "anything"]),
    ],
)
def test_ignore_files(text: str, out: list[str], kept: list[str]) -> None:
    ignore = Ignore.parse(text)
    assert [path for path in out if not ignore.leaves_out(path)] == []
    assert [path for path in kept if ignore.leaves_out(path)] == []


@given(st.text(), st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1)))
def test_any_text_is_an_ignore_file(text: str, parts: list[str]) -> None:
    ignore, path = Ignore.parse(text), "/".join(parts) or "x"
    if ignore.prunes(path):
        assert ignore.leaves_out(f"{path}/below")


def as_regex(line: str) -> re.Pattern[str]:
    """What Docker makes of a line of an ignore file."""
    spelled = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\]|\\.)", line)
    return re.compile(
        "".join(
            spelled.get(piece) or (piece if len(piece) > 1 and piece[0] in "[\\" else re.escape(piece))
            for piece in pieces
        ),
        re.DOTALL,
    )


@given(
    st.lists(
        st.sampled_from(
            ["a", "b", "é", ".", "/", "*", "**", "**/", "?", "[ab]", "[^a]", "[a-c]", "[é-ü]", "\\*"]
        ),
        min_size=1,
    ).map("".join),
    st.lists(st.text(st.sampled_from("abcéü漢.*\n"), min_size=1, max_size=4), min_size=1, max_size=20).map(
        "/".join
    ),
)
def test_lines_mean_what_they_mean_to_docker(line: str, path: str) -> None:
    line = posixpath.normpath(line).lstrip("/")
    above = [path[:at] for at, letter in enumerate(path) if letter == "/"]
    expected = line not in ("", ".") and any(map(as_regex(line).fullmatch, (path, *above)))
    assert Ignore.parse(line).leaves_out(path) is expected


@pytest.mark.parametrize(
    "line", ["*a*a*a*a*a*ab", "**/a/**/a/**/a/**/b", "*?" * 500 + "b", "[z-a]", "[^]", "["]
)
def test_no_line_of_an_ignore_file_makes_matching_explode(line: str) -> None:
    ignore = Ignore.parse(f"{line}\n" * 20)
    paths = ["a" * 4_000 + str(number) for number in range(20)] + ["a/" * 2_000 + "a"]
    assert ignore.left_out(paths) == set()
    assert WORK - ignore.work.left < WORK / 20


def test_an_ignore_file_that_takes_too_long_fails_the_build_with_a_sentence(tmp_path: Path) -> None:
    write(tmp_path, {"main.sh": "echo", ".dockerignore": "a\n" * 20_000})
    request = request_for(make_plan(SourceTree(tmp_path), BuildSettings()), tmp_path)
    with pytest.raises(BuildFailed, match="The ignore file takes too long"):
        build(LocalBackend(tmp_path.parent / "images"), request)


def write(root: Path, files: dict[str, str]) -> Context:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return read_context(root, Ignore())


def test_what_leads_outside_is_left_out(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write(tree, {"a/file": "x"})
    (tmp_path / "secret").write_text("hidden")
    (tree / "inside").symlink_to("a/file")
    (tree / "above").symlink_to("../secret")
    (tree / "absolute").symlink_to(tree / "a/file")
    os.mkfifo(tree / "fifo")
    context = read_context(tree, Ignore())
    assert [entry.path for entry in context.entries] == ["a/file", "inside"]
    assert set(context.left_out) == {"above", "absolute", "fifo"}
    target = tmp_path / "made/secret"
    target.parent.mkdir()
    target.symlink_to(tmp_path / "secret")
    context.copy(context.entries[0], target)
    assert (tmp_path / "secret").read_text() == "hidden"
    assert target.read_text() == "x"


def test_the_digest_is_of_names_modes_and_contents(tmp_path: Path) -> None:
    def digest() -> str:
        return read_context(tmp_path, Ignore()).digest(lambda: None)

    write(tmp_path, {"a": "1", "b": "2"})
    seen = [digest()]
    (tmp_path / "a").write_text("2")
    seen.append(digest())
    (tmp_path / "a").chmod(0o755)
    seen.append(digest())
    (tmp_path / "b").rename(tmp_path / "c")
    seen.append(digest())
    os.utime(tmp_path / "c", (0, 0))
    assert len(set(seen)) == len(seen)
    assert digest() == seen[-1]


def test_places() -> None:
    assert PLACES.here("python -m venv /opt/venv") == "python -m venv /images/key/opt/venv"
    assert PLACES.here("/app/node_modules/.bin:$PATH") == "/images/key/app/node_modules/.bin:$PATH"
    assert PLACES.here("x --dir=/root/.store -o /out/ './a'") == (
        "x --dir=/images/key/home/.store -o /images/key/bin/ './a'"
    )
    for untouched in (
        "https://host/app",
        "./app",
        "/apparatus",
        "$HOME/app",
        "cat /etc/src",
        "/application/x",
    ):
        assert PLACES.here(untouched) == untouched
    assert PLACES.path("./", "/app") == Path("/images/key/app")
    assert PLACES.path("patches/", "/app") == Path("/images/key/app/patches")


def plan_of(root: Path, settings: BuildSettings | None = None) -> tuple[BuildPlan, BuildRequest]:
    plan = make_plan(SourceTree(root), settings or BuildSettings())
    return plan, request_for(plan, root, build_args={"MODE": "a", "JOBYARD_GIT_SHA": "1"})


def test_the_commit_counts_only_where_a_command_sees_it(tmp_path: Path) -> None:
    write(tmp_path, {"run.sh": "true\n"})
    for command, counts in ((None, False), ("make", True)):
        plan, request = plan_of(tmp_path, BuildSettings(build_command=command))
        later = replace(request, build_args={"MODE": "a", "JOBYARD_GIT_SHA": "2"})
        keys = {image_key(each, plan, "tree", None) for each in (request, later)}
        assert len(keys) == (2 if counts else 1)


def test_an_image_is_of_one_scope(tmp_path: Path) -> None:
    write(tmp_path, {"run.sh": "true\n"})
    plan, request = plan_of(tmp_path)
    keys = {image_key(replace(request, scope=scope), plan, "tree", None) for scope in ("a", "b", "a")}
    assert len(keys) == 2


def build(backend: LocalBackend, request: BuildRequest) -> tuple[BuiltImage, str]:
    said: list[bytes] = []
    image = backend.build(
        request,
        on_output=said.append,
        on_step=lambda step: None,
        should_stop=threading.Event(),
        time_limit_seconds=60,
    )
    return image, b"".join(said).decode()


def test_the_same_tree_and_plan_are_built_once(tmp_path: Path) -> None:
    write(tmp_path / "tree", {"run.sh": "true\n", ".dockerignore": "notes\n", "notes": "1"})
    settings = BuildSettings(install_command="echo installing; date +%N >when")
    backend = LocalBackend(tmp_path / "images")
    _, request = plan_of(tmp_path / "tree", settings)
    first, said = build(backend, request)
    assert "installing" in said
    (tmp_path / "tree/notes").write_text("2")
    again, said = build(backend, request)
    assert (again, "it is used again" in said) == (first, True)
    anew, said = build(backend, replace(request, no_cache=True))
    assert anew.image != first.image
    assert not list((tmp_path / "images").glob("*/home"))


def test_a_failed_command_leaves_nothing_and_is_named(tmp_path: Path) -> None:
    write(tmp_path / "tree", {"run.sh": "true\n"})
    _, request = plan_of(tmp_path / "tree", BuildSettings(install_command="exit 7"))
    with pytest.raises(BuildFailed, match=r"The build failed at exit 7: exit code 7\."):
        build(LocalBackend(tmp_path / "images"), request)
    assert [path.suffix for path in (tmp_path / "images").iterdir()] == [".lock"]
    _, request = plan_of(tmp_path / "tree", BuildSettings(install_command="echo 'error: no x' >&2; exit 7"))
    with pytest.raises(BuildFailed, match=r"exit code 7: error: no x\.$"):
        build(LocalBackend(tmp_path / "images"), request)


def test_a_language_that_is_not_there() -> None:
    with pytest.raises(BuildFailed, match=r"There is no Go on this machine .*JOBYARD_ENGINE=docker"):
        find_toolchain(BuildPlan("go", version="1.27"), search_path="/nowhere")
    found = find_toolchain(BuildPlan("python", version="2.1"))
    assert found is not None
    assert "The plan is for Python 2.1, but this machine has 3." in found.note
    assert find_toolchain(BuildPlan("shell")) is None


def test_a_place_that_commands_cannot_name(tmp_path: Path) -> None:
    write(tmp_path / "tree", {"run.sh": "true\n"})
    _, request = plan_of(tmp_path / "tree")
    with pytest.raises(BackendUnavailable, match="without spaces"):
        build(LocalBackend(tmp_path / "my images"), request)


def test_an_image_runs_by_its_digest_unless_said_otherwise() -> None:
    assert BuiltImage("sha256:1").image == "sha256:1"
    assert BuiltImage("sha256:1", "process:/x").image == "process:/x"
