"""Every example becomes an image whose container prints what it should."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.backends.base import BuildRequest
from builders.plan import BuildSettings
from tests.examples.snapshots import EXAMPLES
from tests.support.building import Recorder, build_tree, docker, remove_images, run_image


@pytest.fixture(scope="module", autouse=True)
def leave_no_images() -> Iterator[None]:
    yield
    remove_images()


RUNNABLE = [example for example in EXAMPLES if (example / "expected_output.txt").exists()]


@pytest.mark.parametrize("example", RUNNABLE, ids=lambda example: example.name)
def test_container_prints_what_is_expected(example: Path) -> None:
    before = sorted(example.rglob("*"))
    image, _ = build_tree(example / "app")
    assert run_image(image) == (example / "expected_output.txt").read_text()
    assert sorted(example.rglob("*")) == before, "a build writes nothing into the tree"


def test_uv_installs_what_its_lock_file_names(tmp_path: Path) -> None:
    """The lock is made here, since it names the registry it was made with."""
    root = tmp_path / "app"
    shutil.copytree(next(e for e in EXAMPLES if e.name == "python-uv") / "app", root)
    (root / "uv.lock").unlink()
    project = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(
        project.replace("dependencies = []", 'dependencies = ["six==1.17.0"]')
    )
    (root / "src/tally/__init__.py").write_text(
        "import six\n\n\ndef main() -> None:\n    print(six.__version__)\n"
    )
    (root / "uv.lock").write_text(_locked_by_uv(root))
    image, recorder = build_tree(root)
    assert run_image(image) == "1.17.0\n"
    assert b"--locked" in recorder.output


@pytest.mark.parametrize("name", ["pnpm", "npm", "yarn"])
def test_a_member_of_a_workspace_is_built_with_what_is_beside_it(tmp_path: Path, name: str) -> None:
    version = {"pnpm": "workspace:*"}.get(name, "1.0.0")
    manifests: dict[str, object] = {
        "": {"private": True, "workspaces": ["apps/*", "packages/*"]},
        "apps/sync": {"name": "sync", "scripts": {"start": "node ."}, "dependencies": {"util-ours": version}},
        "packages/util": {"name": "util-ours", "version": "1.0.0", "main": "index.js"},
    }
    for directory, manifest in manifests.items():
        (tmp_path / directory).mkdir(parents=True, exist_ok=True)
        (tmp_path / directory / "package.json").write_text(json.dumps(manifest))
    (tmp_path / "apps/sync/index.js").write_text("console.log(require('util-ours').word, process.cwd())\n")
    (tmp_path / "packages/util/index.js").write_text(f"exports.word = 'by {name}'\n")
    if name == "pnpm":
        (tmp_path / "pnpm-workspace.yaml").write_text("packages:\n  - 'apps/*'\n  - packages/*\n")
        (tmp_path / "pnpm-lock.yaml").write_text(PNPM_LOCK)
    if name == "yarn":
        (tmp_path / "yarn.lock").write_text("# yarn lockfile v1\n")
    image, _ = build_tree(tmp_path, BuildSettings(root_directory="/apps/sync"))
    assert run_image(image) == f"by {name} /app/apps/sync\n"


PNPM_LOCK = """lockfileVersion: '9.0'

settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false

importers:

  .: {}

  apps/sync:
    dependencies:
      util-ours:
        specifier: workspace:*
        version: link:../../packages/util

  packages/util: {}
"""


def _locked_by_uv(root: Path) -> str:
    recipe = (
        "FROM python:3.13-slim-trixie\nRUN python -m venv /opt/uv && /opt/uv/bin/pip install uv==0.13.9\n"
        'COPY . /app\nRUN cd /app && /opt/uv/bin/uv lock\nCMD ["cat", "/app/uv.lock"]\n'
    )
    return run_image(Recorder().build(BuildRequest(context=root, dockerfile_text=recipe)))


def test_dependencies_stay_cached_over_a_new_commit(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    (tmp_path / "main.py").write_text("print('one')\n")
    settings = BuildSettings(build_command='echo "$JOBYARD_GIT_SHA $COLOUR" > seen')
    build_tree(tmp_path, settings, build_args={"JOBYARD_GIT_SHA": "a" * 40, "COLOUR": "red"})
    (tmp_path / "main.py").write_text("print(open('seen').read())\n")
    sha = uuid.uuid4().hex
    image, recorder = build_tree(tmp_path, settings, build_args={"JOBYARD_GIT_SHA": sha, "COLOUR": "red"})
    assert run_image(image) == f"{sha} red\n\n"
    cached = {step.name.split("] ")[-1]: step.cached for step in recorder.steps if step.duration is not None}
    assert cached["RUN pip install -r requirements.txt"]
    assert not cached[f'RUN echo "{sha} red" > seen']
    config = json.loads(docker("image", "inspect", image.digest).stdout)[0]["Config"]
    assert not [line for line in config["Env"] if line.startswith(("JOBYARD_", "COLOUR"))]


def test_the_python_image_holds_no_installer(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    (tmp_path / "main.py").write_text(
        "import importlib.util as found, six\nprint(six.__version__, found.find_spec('pip'))\n"
    )
    assert run_image(build_tree(tmp_path)[0]) == "1.17.0 None\n"


@pytest.mark.parametrize("name", ["node-build", "node-pnpm"])
def test_a_changed_line_leaves_the_layer_of_packages(tmp_path: Path, name: str) -> None:
    root = tmp_path / "app"
    shutil.copytree(next(e for e in EXAMPLES if e.name == name) / "app", root)
    settings = BuildSettings(build_command="date +%N > made")
    build_tree(root, settings)
    (root / "new.txt").write_text(uuid.uuid4().hex)
    image, recorder = build_tree(root, settings)
    assert run_image(image, "cat", "new.txt") == (root / "new.txt").read_text()
    cached = {step.name.split("] ")[-1]: step.cached for step in recorder.steps if step.duration is not None}
    assert cached["COPY --from=build /app/node_modules /app/node_modules"]
    assert not cached["COPY --from=source /out /app"]


def test_the_user_of_the_image_is_not_root_and_labels_are_set(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text(
        "id -u; id -un; touch here || echo held; echo $HOME; touch $HOME/there\n"
    )
    image, _ = build_tree(
        tmp_path, labels={"org.opencontainers.image.revision": "abc"}, tags=("jobyard-test:labels",)
    )
    assert run_image(image) == "10001\njob\nheld\n/tmp\n"
    inspected = json.loads(docker("image", "inspect", "jobyard-test:labels").stdout)[0]
    assert inspected["Id"] == image.digest
    assert inspected["Config"]["Labels"]["org.opencontainers.image.revision"] == "abc"
    assert inspected["Config"]["User"] == "10001:10001"


def test_a_job_writes_to_what_the_build_command_gave_it(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("touch data/here && ls data; rm job.sh || echo held\n")
    image, _ = build_tree(tmp_path, BuildSettings(build_command="mkdir data && chmod a+rwx data"))
    assert run_image(image) == "here\nheld\n"


def test_what_should_not_be_in_an_image_is_not(tmp_path: Path) -> None:
    for name in (".env", ".git/config", "node_modules/x.js", "deep/.env.local", "kept.txt", "deep/tls.key"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "job.sh").write_text("find . -type f | sort\n")
    assert run_image(build_tree(tmp_path)[0]) == "./job.sh\n./kept.txt\n"
    (tmp_path / ".dockerignore").write_text("kept.txt\n.git\n")
    assert "./node_modules/x.js" in run_image(build_tree(tmp_path)[0])
    assert "kept" not in run_image(build_tree(tmp_path)[0])


def test_an_image_without_a_start_command_says_so_and_fails(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "one.py").write_text("print('one')\n")
    (tmp_path / "two.py").write_text("print('two')\n")
    image, _ = build_tree(tmp_path, BuildSettings(start_required=False))
    done: subprocess.CompletedProcess[bytes] = docker("run", "--rm", image.digest)
    assert done.returncode == 64
    assert b"No start command: found one.py, two.py." in done.stderr
    assert run_image(image, "python", "two.py") == "two\n"
