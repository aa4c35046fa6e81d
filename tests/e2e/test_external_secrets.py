"""Secrets that are kept elsewhere: a server that is killed in the middle masks what its run got, also from Vault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosted import HostedJob
from tests.support.server import JobyardServer, jobyard_server
from tests.support.vault import TOKEN, VaultDouble, vault_double
from tests.support.waiting import eventually

PROJECT = "acme"
NOWHERE = "unix:///nowhere/docker.sock"
OF_FILE, OF_VARIABLE, OF_VAULT = "of-a-file-73915", "of-a-variable-82640", "of-Vault-64018"
VALUES = (OF_FILE, OF_VARIABLE, OF_VAULT)
SCRIPT = """\
echo first $FILE $VARIABLE $VAULT
while [ ! -e {flag} ]; do sleep 0.05; done
echo again $FILE $VARIABLE $VAULT
echo $FILE | wc -c
"""


@pytest.fixture
def vault() -> Iterator[VaultDouble]:
    with vault_double() as double:
        yield double


@pytest.fixture
def server(tmp_path: Path, vault: VaultDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobyardServer]:
    monkeypatch.setenv("SHOP_KEY", OF_VARIABLE)
    settings = {
        "secrets_dir": str(tmp_path / "secrets"),
        "secrets_env": "SHOP_*",
        "vault_addr": vault.address,
        "vault_token": TOKEN,
    }
    with jobyard_server(tmp_path / "data", engine="process", docker_host=NOWHERE, **settings) as server:
        yield server


def test_a_killed_server_masks_them_when_it_goes_on(
    server: JobyardServer,
    vault: VaultDouble,
    host: Callable[[JobyardServer], HostedJob],
    tmp_path: Path,
) -> None:
    job = host(server)
    file = tmp_path / "secrets" / PROJECT / "token"
    file.parent.mkdir(parents=True)
    file.write_text(f"{OF_FILE}\n")
    path = f"secret/data/{PROJECT}/app"
    vault.secrets[path] = {"password": OF_VAULT}
    job.job(
        env={
            "FILE": {"from": "file", "path": "token", "scope": "both"},
            "VARIABLE": {"from": "env", "name": "SHOP_KEY"},
            "VAULT": {"from": "vault", "path": path, "key": "password"},
        }
    )
    flag = tmp_path / "go on"
    script = SCRIPT.format(flag=f"'{flag}'")
    assert server.built(job.push({"run.sh": script}))["status"] == "succeeded"
    run = server.wait_for("a run", lambda: next(iter(job.runs()), None))
    eventually(lambda: "first" in server.log_of(run))
    server.kill()
    file.write_text("another by now")
    vault.status = 503
    asked = len(vault.asked)
    server.start()
    flag.touch()
    over = server.over(f"/runs/{run['id']}")
    assert (over["status"], over["attempts"]) == ("succeeded", 1), over["sentence"]
    assert server.log_of(run) == f"first *** *** ***\nagain *** *** ***\n{len(OF_FILE) + 1}\n"
    assert len(vault.asked) == asked
    shown = [
        server.request("GET", each).text
        for each in (f"/runs/{run['id']}", f"{job.path}", f"{job.path}/runs", "/audit", "/decisions")
    ]
    kept = [each for each in server.data.rglob("*") if each.is_file() and "containers" not in each.parts]
    for text in (*shown, *(each.read_bytes().decode(errors="replace") for each in kept), server.log):
        assert [value for value in VALUES if value in text] == []
    assert over["effective"]["env"]["FILE"] == {
        "from": "file",
        "path": "token",
        "secret": True,
        "scope": "both",
    }


def test_a_sealed_vault_is_waited_for(
    server: JobyardServer, vault: VaultDouble, host: Callable[[JobyardServer], HostedJob]
) -> None:
    job = host(server)
    path = f"secret/data/{PROJECT}/app"
    vault.status, vault.body = 503, b'{"errors": ["Vault is sealed"]}'
    job.job(env={"VAULT": {"from": "vault", "path": path, "key": "password"}})
    assert server.built(job.push({"run.sh": "echo with $VAULT\n"}))["status"] == "succeeded"
    run = server.wait_for("a run", lambda: next(iter(job.runs()), None))

    def sentence() -> str:
        return str(server.api("GET", f"/runs/{run['id']}")["sentence"])

    said = f"VAULT can't be read from Vault {path}#password: Vault is sealed. Asked again in"
    eventually(lambda: sentence().startswith(said))
    vault.secrets[path] = {"password": OF_VAULT}
    vault.status = 0
    over = server.over(f"/runs/{run['id']}")
    assert (over["status"], over["attempts"], server.log_of(run)) == ("succeeded", 1, "with ***\n")
