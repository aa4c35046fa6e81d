"""`jobyard admin rotate-key` on the server's own machine, and where the key may come from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from app.config import read_settings
from app.installation import open_installation
from app.secrets import key_id
from app.store.claims import register_server
from tests.support.cli import Cli
from tests.support.sealed import unsealed

NEW = "the key of next year, random too"


def opens(sealed: str) -> bool:
    with open_installation(read_settings()) as installation:
        return unsealed(installation.box, sealed) == "a secret"


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "data").iterdir() if path.name.startswith("secret.key"))


def test_the_key_file_is_replaced_and_the_old_key_kept_beside_it(
    cli: Cli, sealed: str, tmp_path: Path
) -> None:
    file = tmp_path / "data/secret.key"
    old = file.read_bytes().strip()
    done = cli("admin", "rotate-key")
    kept = f"{file}.{key_id(old)}"
    assert done.out == (
        "Rows sealed anew: none.\n"
        "The old key opens nothing here any more. Backups from before open with it alone. "
        f"It is kept in {kept}: remove that when no such backup is left.\n"
    )
    assert files(tmp_path) == ["secret.key", f"secret.key.{key_id(old)}"]
    assert (Path(kept).read_bytes().strip(), file.read_bytes().strip() == old) == (old, False)
    assert opens(sealed)  # by the key before the current one
    file.write_bytes(old)
    assert "The secret key is not the one this data was sealed with" in cli("admin", "rotate-key").err


def test_a_key_of_the_environment_is_handed_over(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_SECRET_KEY", "the key of this year, random enough")
    (tmp_path / "new").write_text(f"{NEW}\n")
    for _ in range(2):  # it may be repeated
        done = cli("admin", "rotate-key", "--new-key-file", tmp_path / "new", "--json").json
        assert done["over"] is False
        assert done["next"] == (
            "Both keys open the data now. Let JOBYARD_SECRET_KEY give what is in "
            f"{read_settings().key_file}.new on every server, restart the servers, and call "
            "`jobyard admin rotate-key` again, with the new key in its environment."
        )
    monkeypatch.setenv("JOBYARD_SECRET_KEY", NEW)
    assert cli("admin", "rotate-key", "--json").json["over"] is True
    monkeypatch.setenv("JOBYARD_SECRET_KEY", "the key of this year, random enough")
    assert cli("admin", "rotate-key").status == 1


def test_a_server_that_has_the_old_key_is_waited_for_and_named(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.keys.WAIT_SECONDS", 0.0)
    with open_installation(read_settings()) as installation, installation.db.write() as tx:
        register_server(tx, "one", "north", 1, installation.clock.now(), installation.box.in_use())
    done = cli("admin", "rotate-key", "--json").json
    assert done["next"] == (
        "Both keys open the data now, and servers on north still have the old one: give them the new one, restart "
        "them, and call `jobyard admin rotate-key` again."
    )
    assert opens(sealed)
    with open_installation(read_settings()) as installation, installation.db.write() as tx:
        tx.connection().exec_driver_sql("DELETE FROM server")
    done = cli("admin", "rotate-key", "--json").json
    assert (done["over"], "It is kept in " in done["next"]) == (True, True)


def test_what_the_new_key_can_not_be(cli: Cli, sealed: str, tmp_path: Path) -> None:
    assert (
        f"There is no file {tmp_path}/none: "
        in cli("admin", "rotate-key", "--new-key-file", tmp_path / "none").err
    )
    (tmp_path / "short").write_text("short")
    assert "holds no key" in cli("admin", "rotate-key", "--new-key-file", tmp_path / "short").err
    same = cli("admin", "rotate-key", "--new-key-file", tmp_path / "data/secret.key")
    assert "The new key is the one that is in use" in same.err
    (tmp_path / "new").write_text(NEW)
    assert "holds another key: " in cli("admin", "rotate-key", "--new-key-file", tmp_path / "new").err
    assert opens(sealed)


def test_the_key_comes_from_a_command_or_a_file_elsewhere(
    cli: Cli, sealed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.key"
    (tmp_path / "data/secret.key").rename(elsewhere)
    monkeypatch.setenv("JOBYARD_SECRET_KEY_FILE", str(elsewhere))
    assert opens(sealed)
    monkeypatch.delenv("JOBYARD_SECRET_KEY_FILE")
    program = f"{sys.executable} -c 'print(open(\"{elsewhere}\").read())'"
    monkeypatch.setenv("JOBYARD_SECRET_KEY_COMMAND", program)
    assert opens(sealed)
    assert files(tmp_path) == []
    monkeypatch.setenv("JOBYARD_SECRET_KEY", NEW)
    said = cli("admin", "rotate-key").err
    assert "JOBYARD_SECRET_KEY_COMMAND is not usable: can't be set together with JOBYARD_SECRET_KEY" in said


def about_the_key(cli: Cli) -> list[tuple[str, str]]:
    found = json.loads(cli("doctor", "--json").out)["items"]
    return [(each["state"], each["sentence"]) for each in found if each["what"] == "secret key"]


def test_the_doctor_tells_of_a_rotation_that_is_not_over_and_of_a_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBYARD_SECRET_KEY", "the key of this year, random enough")
    assert cli("admin", "rotate-key", "--json").json["over"] is False
    assert about_the_key(cli) == [
        ("warn", "Two keys open the data, as a rotation is not over: call `jobyard admin rotate-key` again."),
        ("ok", "It is set by JOBYARD_SECRET_KEY."),
    ]
    monkeypatch.delenv("JOBYARD_SECRET_KEY")
    monkeypatch.setenv(
        "JOBYARD_SECRET_KEY_COMMAND", f"{sys.executable} -c 'print(\"long enough to be a key\")'"
    )
    assert about_the_key(cli)[-1] == ("ok", "It is given by JOBYARD_SECRET_KEY_COMMAND.")
    monkeypatch.setenv("JOBYARD_SECRET_KEY_COMMAND", "/no/such/program")
    said = "The command of JOBYARD_SECRET_KEY_COMMAND can't be called: No such file or directory."
    assert about_the_key(cli)[-1] == ("fail", said)
