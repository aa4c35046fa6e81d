"""The process engine when its server is killed without notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.engines.base import ContainerSpec, ExitKind, Handle, State
from app.engines.process import ProcessEngine
from app.engines.process.container import Container
from tests.support.engine_harness import utc_now
from tests.support.waiting import eventually

SERVER = """
import json, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from app.engines.base import ContainerSpec
from app.engines.process import ProcessEngine
engine = ProcessEngine(root=Path(sys.argv[1]), clock=lambda: datetime.now(UTC))
handle = engine.start(ContainerSpec(sys.argv[2], command=("sh", "-c", sys.argv[3])), "a", 1)
print(json.dumps(handle.to_json()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def image(tmp_path: Path) -> str:
    tree, manifest = tmp_path / "tree", tmp_path / "manifest.json"
    tree.mkdir()
    manifest.write_text(json.dumps({"root": str(tree)}))
    return f"process:{manifest}"


def start_in_a_server_that_is_killed(root: Path, image: str, shell: str) -> Handle:
    command = [sys.executable, "-c", SERVER, str(root), image, shell]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return Handle.from_json(json.loads(done.stdout))


def test_the_job_outlives_its_server(tmp_path: Path, image: str) -> None:
    shell = f"echo one; until test -e {tmp_path}/go; do sleep 0.02; done; echo two; exit 5"
    handle = start_in_a_server_that_is_killed(tmp_path / "root", image, shell)
    engine = ProcessEngine(root=tmp_path / "root", clock=utc_now)
    assert [(owned.handle, owned.state) for owned in engine.owned()] == [(handle, State.RUNNING)]
    assert engine.start(ContainerSpec(image), "a", 2) == handle
    (tmp_path / "go").touch()
    assert b"".join(chunk.data for chunk in engine.logs(handle)) == b"one\ntwo\n"
    assert engine.wait(handle).exit_code == 5


def test_a_killed_supervisor_is_no_success(tmp_path: Path, image: str) -> None:
    handle = start_in_a_server_that_is_killed(tmp_path / "root", image, "echo $PPID; exec sleep 1000")
    engine = ProcessEngine(root=tmp_path / "root", clock=utc_now)
    supervisor = int(next(engine.logs(handle)).data)
    container = Container.find(tmp_path / "root" / handle.name)
    assert container
    process = container.pid()
    assert process
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not container.is_alive())
    assert engine.wait(handle).kind is ExitKind.ENGINE_FAILED
    assert engine.start(ContainerSpec(image), "a", 2) == handle
    assert engine.wait(handle).kind is ExitKind.ENGINE_FAILED
    os.killpg(process, signal.SIGKILL)
