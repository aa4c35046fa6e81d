from __future__ import annotations

import stat
import sys
import threading
from pathlib import Path

import pytest

from app.secrets import (
    SecretKeyError,
    first_ring,
    key_id,
    key_of_command,
    load_or_create_key,
    replace_key_file,
)


def test_the_key_file_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"
    key = load_or_create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path) == key
    assert list(path.parent.iterdir()) == [path]
    first_ring(key)


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


def test_a_key_file_is_replaced_and_the_old_one_kept_also_after_half_of_it(tmp_path: Path) -> None:
    path, new = tmp_path / "secret.key", tmp_path / "secret.key.new"
    old, other = load_or_create_key(path), load_or_create_key(new)
    (tmp_path / f"secret.key.{key_id(old)}").hardlink_to(path)  # what a killed one left
    kept = replace_key_file(path, new)
    assert (kept.read_bytes().strip(), path.read_bytes().strip()) == (old, other)
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["secret.key", kept.name]


def python(program: str) -> str:
    return f"{sys.executable} -c '{program}'"


def test_the_key_is_what_a_command_prints(tmp_path: Path) -> None:
    assert key_of_command(python('print("a key from elsewhere, $HOME")')) == b"a key from elsewhere, $HOME"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (python('print("hidden" * 9); exit(3)'), "ended with status 3: call it by hand to see why."),
        (python('print("hidden")'), "printed no key: it has to print at least 16 characters."),
        ("/no/such/program hidden", "can't be called: No such file or directory."),
        ("'hidden", "can't be called: No closing quotation."),
        ("", "can't be called"),
    ],
)
def test_a_command_that_gives_no_key_is_told_of_without_what_it_wrote(command: str, said: str) -> None:
    with pytest.raises(SecretKeyError) as raised:
        key_of_command(command)
    assert said in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_command_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.secrets.keys.COMMAND_SECONDS", 0.2)
    with pytest.raises(SecretKeyError, match="gave no key within 0 s"):
        key_of_command(python("import time; time.sleep(60)"))
