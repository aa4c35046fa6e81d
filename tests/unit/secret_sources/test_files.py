"""Secrets in files: each project's own directory, and nothing beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.external_secrets import SecretRefused, SecretUnavailable
from app.secret_sources.files import MOST_BYTES, SecretFiles
from tests.support.waiting import together

OUTSIDE = "it is a link that leads out of its directory of secrets; put the file itself there."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "secrets/shop/db/password": "of shop\n",
        "secrets/billing/db/password": "of billing\n",
        "secrets/_shared/smtp": "for all",
        "secrets/top": "at the top",
        "outside": "of the machine",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "secrets"


@pytest.fixture
def read(root: Path) -> Callable[[str], str]:
    return lambda path: SecretFiles(root).read(path, "shop")


def refusal(read: Callable[[str], str], path: str) -> str:
    with pytest.raises(SecretRefused) as refused:
        read(path)
    return str(refused.value)


def test_of_the_project_and_of_what_all_have(read: Callable[[str], str]) -> None:
    assert read("db/password") == "of shop\n"
    assert read("_shared/smtp") == "for all"


@pytest.mark.parametrize(
    "path", ["../billing/db/password", "/etc/passwd", "db/../../top", "", "db//password", "a\0"]
)
def test_no_path_beside_it(read: Callable[[str], str], path: str) -> None:
    assert refusal(read, path) == "it is no path below a directory of secrets."


@pytest.mark.parametrize("path", ["top", "missing", "db/password/more", "billing/db/password"])
def test_what_is_not_there(read: Callable[[str], str], path: str) -> None:
    assert refusal(read, path) == "there is no such file; put it into shop/ of JOBYARD_SECRETS_DIR."


def test_links_stay_in_the_directory_or_are_refused(root: Path, read: Callable[[str], str]) -> None:
    shop = root / "shop"
    (shop / "..2026_11_30").mkdir()
    (shop / "..2026_11_30" / "key").write_text("as Kubernetes mounts it")
    (shop / "..data").symlink_to("..2026_11_30")
    (shop / "key").symlink_to("..data/key")
    assert read("key") == "as Kubernetes mounts it"
    (shop / "theirs").symlink_to("../billing/db/password")
    (shop / "machine").symlink_to(root.parent / "outside")
    (shop / "folder").symlink_to(root / "billing")
    for path in ("theirs", "machine", "folder/db/password"):
        assert refusal(read, path) == OUTSIDE
    (shop / "round").symlink_to("round")
    with pytest.raises((SecretRefused, SecretUnavailable)) as error:
        read("round")
    assert str(error.value) in (
        "it is a link that leads to itself; put the file itself there.",
        "it can't be read now (Too many levels of symbolic links).",
    )


def test_a_directory_of_secrets_may_be_a_link_of_the_operators(root: Path) -> None:
    (root / "mobile").symlink_to(root / "shop")
    assert SecretFiles(root).read("db/password", "mobile") == "of shop\n"


def test_only_files_and_a_pipe_is_not_waited_for(root: Path, read: Callable[[str], str]) -> None:
    os.mkfifo(root / "shop" / "pipe")
    assert refusal(read, "pipe") == "it is no regular file; name one."
    assert refusal(read, "db") == "it is no regular file; name one."


def test_large_and_binary_files_are_refused(root: Path, read: Callable[[str], str]) -> None:
    (root / "shop" / "large").write_bytes(b"x" * (MOST_BYTES + 1))
    assert refusal(read, "large") == f"it has more than {MOST_BYTES:,} bytes; take a smaller file."
    (root / "shop" / "binary").write_bytes(b"\xff\xfe")
    assert refusal(read, "binary") == "it is no UTF-8 text; encode it, such as in base64."


def test_without_the_right_to_read_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(SecretRefused, match=r"the server's user may not read it; give it that right\."):
        SecretFiles(root).read("db/password", "shop")


def test_a_disk_that_fails_is_no_refusal(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(SecretUnavailable, match=r"it can't be read now \(Input/output error\)."):
        SecretFiles(root).read("db/password", "shop")


def test_nobody_reads_the_link_that_is_put_there_meanwhile(root: Path) -> None:
    """However often the file and a link out take turns, only the file is ever read."""
    file, spare = root / "shop" / "turns", root / "shop" / "spare"
    file.write_text("the file")

    def swap(_: int) -> set[str]:
        for number in range(200):
            if number % 2:
                spare.write_text("the file")
            else:
                spare.symlink_to(root.parent / "outside")
            spare.rename(file)
        return set()

    def look(_: int) -> set[str]:
        seen = set()
        for _ in range(200):
            try:
                seen.add(SecretFiles(root).read("turns", "shop"))
            except (SecretRefused, SecretUnavailable):
                continue
        return seen

    found = together(2, lambda number: swap(number) if number == 0 else look(number))
    assert set().union(*found) <= {"the file"}
