"""Nothing outside of the root is ever read, whatever the tree has in it."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import source
from builders.plan import PlanError
from builders.source import SourceTree

SECRET = "outside"
parts = st.sampled_from(
    ["..", ".", "a", "b", "link", "up", "abs", "file", "", "/", "//", "etc", "passwd", "\0"]
)


@pytest.fixture(scope="module")
def trapped_tree() -> SourceTree:
    """A tree with links in all directions; every file outside says so."""
    base = Path(tempfile.mkdtemp())
    (base / "secret").write_text(SECRET)
    (base / "file").write_text(SECRET)
    root = base / "root"
    (root / "a" / "b").mkdir(parents=True)
    for directory in (root, root / "a", root / "a" / "b"):
        (directory / "file").write_text("inside")
        (directory / "up").symlink_to("..")
        (directory / "abs").symlink_to("/")
        (directory / "link").symlink_to(base)
        (directory / "secret").symlink_to(base / "secret")
    return SourceTree(root)


@given(st.lists(parts, max_size=8).map("/".join), st.sampled_from(["", "/secret", "/file", "/etc/passwd"]))
def test_no_path_leads_out(trapped_tree: SourceTree, path: str, end: str) -> None:
    text = trapped_tree.read_text(path + end)
    assert text in (None, "inside")
    assert trapped_tree.has(path + end) == (text is not None)
    inner = trapped_tree.subtree(path)
    assert inner is None or inner.root.is_relative_to(trapped_tree.root)


def test_a_listing_has_no_links_out(trapped_tree: SourceTree) -> None:
    assert trapped_tree.files() == ("file", "a/file", "a/b/file")
    assert trapped_tree.root_files == ("file",)


def test_a_link_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("inside")
    (tmp_path / "requirements.txt").symlink_to("real.txt")
    tree = SourceTree(tmp_path)
    assert tree.read_text("requirements.txt") == "inside"
    assert "requirements.txt" in tree.root_files


def test_a_leading_slash_means_the_root_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("inside")
    assert SourceTree(tmp_path).read_text("/x") == "inside"


def test_pipes_devices_and_directories_are_not_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    tree = SourceTree(tmp_path)
    for name in ("pipe", "directory", "device", "missing"):
        assert not tree.has(name)
        assert tree.read_text(name) is None
    assert tree.root_files == ()


def test_a_file_too_big_to_be_a_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes(b"x" * (source.MAX_FILE_BYTES + 1))
    tree = SourceTree(tmp_path)
    with pytest.raises(PlanError, match=r"package\.json is larger than 2 MiB"):
        tree.read_text("package.json")
    assert len(tree.read_head("package.json") or "") == source.HEAD_BYTES


def test_the_walk_is_bounded_and_passes_over_dependencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("node_modules/x.js", "1/2/3/4/5/deepest.py", "1/2/3/4/5/6/too_deep.py", "a.py", "b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert SourceTree(tmp_path).files() == ("a.py", "b.py", "1/2/3/4/5/deepest.py")
    monkeypatch.setattr(source, "MAX_FILES", 2)
    assert SourceTree(tmp_path).files() == ("a.py", "b.py")


def test_glob_stays_in_a_level_unless_told(tmp_path: Path) -> None:
    for name in ("a.py", "x/b.py", "x/y/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    tree = SourceTree(tmp_path)
    assert tree.glob("*.py") == ("a.py",)
    assert tree.glob("*/*.py") == ("x/b.py",)
    assert tree.glob("**/*.py") == ("a.py", "x/b.py", "x/y/c.py")


def test_names_and_contents_that_are_not_text_do_no_harm(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text("")
    (tmp_path / "main.py").write_bytes(b"\xef\xbb\xbfprint()\r\n\xff")
    tree = SourceTree(tmp_path)
    assert tree.root_files == ("main.py",)
    assert tree.read_text("main.py") == "print()\n\ufffd"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_says_how_text_is_written(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith("e") else ""
    (tmp_path / "requirements.txt").write_bytes(f"{mark}-r more.txt\r\n".encode(encoding))
    tree = SourceTree(tmp_path)
    assert tree.read_text("requirements.txt") == tree.read_head("requirements.txt") == "-r more.txt\n"
