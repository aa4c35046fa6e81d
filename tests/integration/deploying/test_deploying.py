"""What `scripts/deploy` has for an installation, read by the programs that it is for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from app.config import Settings
from tests.support.guide import chapter
from tests.support.project import ROOT

DEPLOY = ROOT / "scripts/deploy"
SITE = "jobyard.example.com"


def ask(*command: str | Path, **settings: str) -> str:
    """What a program says of a file, which it has to find right."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": path, "HOME": "/nonexistent", **settings}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted(DEPLOY.iterdir()), ids=lambda file: file.name)
def test_the_guide_names_each_file(file: Path) -> None:
    told = "".join(map(chapter, ("install", "swarm", "kubernetes", "metrics")))
    assert f"scripts/deploy/{file.name}" in told


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "jobyard.service").read_text()
    there = tmp_path / "jobyard.service"
    there.write_text(unit.replace("/opt/jobyard/bin/jobyard", "/bin/true"))
    said = ask("systemd-analyze", "verify", there)
    assert "jobyard.service" not in said, said


def test_caddy_takes_its_file(tmp_path: Path) -> None:
    file = DEPLOY / "Caddyfile"
    assert "Valid configuration" in ask(
        "caddy", "validate", "--config", file, "--adapter", "caddyfile", HOME=str(tmp_path)
    )
    ask("caddy", "fmt", file, HOME=str(tmp_path))  # exits with 1 if it would indent it otherwise


def test_nginx_takes_its_file(tmp_path: Path) -> None:
    pair = ("-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem")
    ask("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={SITE}", *pair)
    site = (DEPLOY / "nginx.conf").read_text().replace(f"/etc/letsencrypt/live/{SITE}", str(tmp_path))
    logs = f"error_log {tmp_path}/error.log; pid {tmp_path}/pid; events {{}}"
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"{logs} http {{ access_log off; {site} }}")
    assert "test is successful" in ask("nginx", "-t", "-c", whole)


def test_compose_takes_its_file() -> None:
    said = ask(
        "docker-compose",
        "--file",
        DEPLOY / "compose.yaml",
        "config",
        JOBYARD_HOST=SITE,
        DOCKER_GROUP="999",
    )
    assert f"JOBYARD_PUBLIC_URL: https://{SITE}" in said
    assert "- '999'" in said
    assert "/var/run/docker.sock" in said


def test_compose_adds_postgresql_and_a_registry() -> None:
    files = [word for name in ("compose.yaml", "compose.postgres.yaml") for word in ("--file", DEPLOY / name)]
    given = {"JOBYARD_HOST": SITE, "DOCKER_GROUP": "999", "POSTGRES_PASSWORD": "known to both"}
    said = ask("docker-compose", *files, "--profile", "registry", "config", **given)
    assert "JOBYARD_DATABASE_URL: postgresql://jobyard:known to both@postgres/jobyard" in said
    assert "POSTGRES_PASSWORD: known to both" in said
    assert "image: registry:2" in said


def test_a_stack_is_of_settings_that_there_are() -> None:
    given = {"JOBYARD_IMAGE": "server:1", "JOBYARD_URL": f"https://{SITE}", "DOCKER_GROUP": "999"}
    said = yaml.safe_load(ask("docker-compose", "--file", DEPLOY / "swarm.yaml", "config", **given))
    server = said["services"]["server"]
    for name, value in server["environment"].items():
        assert name.removeprefix("JOBYARD_").lower() in Settings.model_fields
        assert value
    assert server["user"] == "10001:999"
    assert f"USER {server['user'].partition(':')[0]}:" in (ROOT / "Dockerfile").read_text()
