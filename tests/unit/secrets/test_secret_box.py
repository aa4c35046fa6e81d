from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.secrets import SecretBox, SecretKeyError, load_or_create_key

KEY = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"
BOX = SecretBox([KEY])


@given(value=st.text(), purpose=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_for_the_same_purpose_only(value: str, purpose: str) -> None:
    sealed = BOX.seal(value, purpose)
    assert BOX.open(sealed, purpose) == value
    with pytest.raises(SecretKeyError):
        BOX.open(sealed, purpose + "x")


def test_a_purpose_cannot_be_prolonged_by_the_value() -> None:
    with pytest.raises(SecretKeyError):
        BOX.open(BOX.seal("23: secret", "job "), "job 23: ")


def test_the_same_value_never_looks_the_same_and_never_shows() -> None:
    first, second = BOX.seal("hunter2", "job 1"), BOX.seal("hunter2", "job 1")
    assert first != second
    assert "hunter2" not in first
    assert KEY.decode() not in f"{BOX!r} {BOX} {vars(BOX)}"


def text() -> st.SearchStrategy[str]:
    return st.text(max_size=3)


@given(text(), text(), text(), text())
def test_a_digest_is_the_same_for_the_same_value_and_purpose_only(a: str, b: str, c: str, d: str) -> None:
    assert (BOX.digest(a, b) == BOX.digest(c, d)) == ((a, b) == (c, d))
    assert BOX.digest(a, b) == SecretBox([KEY, OTHER]).digest(a, b)


def test_a_digest_cannot_be_made_without_the_key() -> None:
    assert BOX.digest("hunter2", "env") != SecretBox([OTHER]).digest("hunter2", "env")
    assert "hunter2" not in BOX.digest("hunter2", "env")


@given(st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    sealed = BOX.seal("value", "purpose")
    spare_bits_from = len(sealed.rstrip("=")) - 1  # base64 ignores some bits of its last character
    place = data.draw(st.integers(0, spare_bits_from - 1))
    changed = "A" if sealed[place] != "A" else "B"
    with pytest.raises(SecretKeyError):
        BOX.open(sealed[:place] + changed + sealed[place + 1 :], "purpose")


def test_an_old_key_still_opens_and_the_new_one_seals() -> None:
    rotated = SecretBox([OTHER, KEY])
    assert rotated.open(BOX.seal("old", "p"), "p") == "old"
    assert SecretBox([OTHER]).open(rotated.seal("new", "p"), "p") == "new"


def test_another_key_is_refused_by_name() -> None:
    stranger = SecretBox([OTHER])
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        stranger.open(BOX.seal("value", "p"), "p")
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        stranger.verify(BOX.key_check())
    SecretBox([OTHER, KEY]).verify(BOX.key_check())


@pytest.mark.parametrize("keys", [[], [b""], [b"short"], [KEY, b"short"]])
def test_a_weak_key_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        SecretBox(keys)


def test_the_key_file_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"
    key = load_or_create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path) == key
    assert list(path.parent.iterdir()) == [path]
    SecretBox([key])


def test_servers_starting_together_agree_on_the_key(tmp_path: Path) -> None:
    path, keys, gate = tmp_path / "secret.key", set[bytes](), threading.Barrier(8)

    def start() -> None:
        gate.wait()
        keys.add(load_or_create_key(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 1


def test_an_empty_or_unusable_key_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").touch()
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        load_or_create_key(tmp_path / "secret.key")
    assert (tmp_path / "secret.key").read_bytes() == b""
    with pytest.raises(SecretKeyError, match="JOBYARD_SECRET_KEY"):
        load_or_create_key(tmp_path)
