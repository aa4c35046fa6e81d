"""Where the engine is, by `JOBYARD_DOCKER_HOST` and what belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.doctor import check_engine
from app.config import read_settings
from app.domain.errors import UserError

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
WHERE = "must be unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, which may end with :PORT and /PATH"


@pytest.mark.parametrize(
    "address",
    [
        "unix:///var/run/docker.sock",
        "tcp://10.0.0.7:2376",
        "tcp://[2001:db8::7]:2376",
        "ssh://builder",
        "ssh://me@builder.example.com:2222/run/user/1000/docker.sock",
    ],
)
def test_an_address_that_an_engine_may_have(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", address)
    assert read_settings().docker_host == address


@pytest.mark.parametrize(
    "address",
    [
        "/var/run/docker.sock",
        "tcp://10.0.0.7",
        "tcp://far:99999",
        "http://far:2375",
        "ssh://",
        "ssh://me@",
        "unix://x",
    ],
)
def test_an_address_that_none_can_have(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", address)
    with pytest.raises(UserError, match=f"^JOBYARD_DOCKER_HOST is not usable: {WHERE}"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "JOBYARD_DOCKER_CERT_PATH",
            "here",
            (
                "JOBYARD_DOCKER_CERT_PATH is not usable: must be a directory with ca.pem, cert.pem, key.pem; it has"
                " no cert.pem and no key.pem"
            ),
        ),
        (
            "JOBYARD_DOCKER_SSH_KEY",
            "none",
            "JOBYARD_DOCKER_SSH_KEY is not usable: must be the file of a private key; there is no such file",
        ),
        (
            "JOBYARD_DOCKER_SSH_KEY",
            "here/ca.pem",
            "JOBYARD_DOCKER_SSH_KEY is for a JOBYARD_DOCKER_HOST that begins with",
        ),
        (
            "JOBYARD_DOCKER_SSH_HOST_KEY",
            HOST_KEY,
            "JOBYARD_DOCKER_SSH_HOST_KEY is for a JOBYARD_DOCKER_HOST that begins",
        ),
        (
            "JOBYARD_DOCKER_SSH_HOST_KEY",
            "SHA256:x",
            "JOBYARD_DOCKER_SSH_HOST_KEY is not usable: must be a host key such as",
        ),
    ],
)
def test_what_does_not_belong_to_it(
    name: str, value: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/ca.pem").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", "tcp://far:2376")
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as raised:
        read_settings()
    assert str(raised.value).startswith(sentence)


def test_the_cli_is_told_as_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBYARD_DOCKER_HOST", raising=False)
    assert read_settings().docker_options == ()
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", "tcp://far:2376")
    assert read_settings().docker_options == ("--host", "tcp://far:2376")
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").touch()
    monkeypatch.setenv("JOBYARD_DOCKER_CERT_PATH", str(tmp_path))
    assert read_settings().docker_options == (
        *("--host", "tcp://far:2376", "--tlsverify"),
        *(f"--tlscacert={tmp_path}/ca.pem", f"--tlscert={tmp_path}/cert.pem", f"--tlskey={tmp_path}/key.pem"),
    )


def test_the_doctor_warns_of_an_engine_that_takes_calls_from_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_DOCKER_HOST", "tcp://127.0.0.1:1")
    warned = [each.sentence for each in check_engine(read_settings()) if each.state == "warn"]
    assert warned == [
        "Calls to the engine are not encrypted, and it takes them from anybody: set JOBYARD_DOCKER_CERT_PATH."
    ]
