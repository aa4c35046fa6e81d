"""The backend's pieces without an engine: command line, progress, hold on a process, choice of a CLI."""

import base64
import json
import stat
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.backends.base import (
    BackendUnavailable,
    BuildCancelled,
    BuildFailed,
    BuildRequest,
    BuildTimedOut,
    Login,
    Step,
)
from builders.backends.buildkit import BuildKitCli, build_argv
from builders.backends.cli import Cli, find_cli
from builders.backends.failures import explain_failure, not_pushed
from builders.backends.progress import MAX_SAID, ProgressReader
from tests.support.processes import ends

OLD = Cli(("docker", "build"), is_buildx=False)
OUTPUT = b"""#1 [internal] load build definition from Dockerfile
#1 sha256:97acfd0d52d89fe9
#1 DONE 0.0s

#4 [build 1/3] FROM docker.io/library/python
#4 CACHED

#5 [build 2/3] RUN --mount=type=cache,id=pip,target=/c     export T="$(cat /run/secrets/T)"     && make
#5 0.312 DONE 9s is only output
#5 0.400 ERROR: so is this

#6 [job 1/1] COPY x y
#5 [build 2/3] RUN --mount=type=cache,id=pip,target=/c     export T="$(cat /run/secrets/T)"     && make
#5 DONE 1.5s
#6 ERROR: "/x" not found
------
 > [job 1/1] COPY x y:
------
failed to solve
"""


# What the CLIs end with when the engine goes away during a build.
LAST_WORDS = (
    b"#5 [2/2] RUN x\n#5 0.3 step\ncannot write /x/iid because server did not provide an image ID\n",
    b"error during connect: Post http://x/session: EOF\n",
    b"ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF\n",
    b"ERROR: failed to solve: Unavailable: error reading from server: EOF\n",
    b"ERROR: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?\n",
)
# Words of a step and its command, in the old form and the new one.
_EXIT = b'process "/bin/sh -c x" did not complete successfully: exit code: 3\n'
_WORDS = b"cannot connect to the docker daemon"
_STEP = b"#5 [2/2] RUN x\n#5 0.3 " + _WORDS + b"\n#5 ERROR: "
SAID_BY_STEPS = (
    _STEP + b"executor failed running [/bin/sh -c echo " + _WORDS + b"]: exit code: 3\n------\n > [2/2] RUN x:\n"
    b"#5 0.3 " + _WORDS + b"\n------\nexecutor failed running [/bin/sh -c " + _WORDS + b"]: exit code: 3\n",
    _STEP + _EXIT + b"------\n > [2/2] RUN x:\n0.3 " + _WORDS + b"\n------\nERROR: failed to solve: " + _EXIT,
    _STEP + b"executor failed running [/bin/sh -c false\n" + _WORDS + b"]: exit code: 3\n",
)  # fmt: skip


def read(chunks: list[bytes]) -> tuple[ProgressReader, list[Step]]:
    steps: list[Step] = []
    reader = ProgressReader(steps.append, lambda: 2.0)
    for chunk in chunks:
        reader.feed(chunk)
    reader.close()
    return reader, steps


def test_steps_are_read_from_the_progress() -> None:
    reader, steps = read([OUTPUT])
    last = {step.index: step for step in steps}
    assert [step.index for step in steps] == [1, 1, 4, 4, 5, 6, 5, 6]
    assert last[1] == Step(1, None, "[internal] load build definition from Dockerfile", 2.0, 0.0)
    assert last[4] == Step(4, 3, "[build 1/3] FROM docker.io/library/python", 2.0, 0.0, cached=True)
    assert last[5] == Step(5, 3, "[build 2/3] RUN make", 2.0, 1.5)
    assert last[6] == Step(6, 1, "[job 1/1] COPY x y", 2.0, 0.0, failed=True)
    assert reader.tail[-1] == "failed to solve"
    assert str(explain_failure(reader, 1)) == 'The build failed at [job 1/1] COPY x y: "/x" not found.'


@given(st.lists(st.integers(0, len(OUTPUT)), max_size=8))
def test_how_output_is_cut_into_chunks_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(OUTPUT)]
    chunks = [OUTPUT[start:end] for start, end in pairwise(edges)]
    assert read(chunks)[1] == read([OUTPUT])[1]


@given(st.binary())
def test_any_output_can_be_read(output: bytes) -> None:
    read([output])


@pytest.mark.parametrize(
    ("output", "kind", "sentence"),
    [
        (b"Cannot connect to the Docker daemon at unix:///x.", BackendUnavailable, "engine doesn't answer"),
        (
            b"#2 [internal] load metadata for x:1\n#2 ERROR: failed to do request: dial tcp: timeout\n",
            BackendUnavailable,
            "registry of a base image can't be reached",
        ),
        (
            b"#2 [internal] load metadata for x:1\n#2 ERROR: x:1: not found\n",
            BuildFailed,
            "x:1: not found",
        ),
        (
            b"#4 [1/2] FROM r.example.com/x:1@sha256:12\n#4 ERROR: failed to authorize: 401 Unauthorized\n",
            BuildFailed,
            r"no access to the base image r\.example\.com/x:1: .* credential for r\.example\.com\.",
        ),
        (
            b"#2 [internal] load metadata for docker.io/library/x:1\n#2 ERROR: pull access denied\n",
            BuildFailed,
            r"registry credential for docker\.io\.",
        ),
        (b"#3 [2/2] RUN curl\n#3 ERROR: dial tcp: timeout\n", BuildFailed, r"at \[2/2\] RUN curl"),
        (
            b"#3 [2/2] RUN x\n#3 ERROR: executor failed running [/bin/sh -c x]: exit code: 127\n",
            BuildFailed,
            r"at \[2/2\] RUN x: exit code 127\.",
        ),
        (
            b"dockerfile parse error line 2: unknown instruction: RUNN\n",
            BuildFailed,
            "unknown instruction: RUNN",
        ),
        (b"", BuildFailed, "exit status 1"),
        *((line, BackendUnavailable, "engine doesn't answer, or went away") for line in LAST_WORDS),
        *(
            (output, BuildFailed, r"RUN x: exit code 3: cannot connect to the docker daemon\.")
            for output in SAID_BY_STEPS
        ),
    ],
)
def test_whose_fault_a_failure_is(output: bytes, kind: type[Exception], sentence: str) -> None:
    error = explain_failure(read([output])[0], 1)
    assert type(error) is kind
    with pytest.raises(kind, match=sentence):
        raise error


def test_the_command_line_is_fixed(tmp_path: Path) -> None:
    request = BuildRequest(
        context=tmp_path,
        dockerfile_text="FROM x",
        target="job",
        build_args={"B": "2", "A": "--x"},
        secrets={"T": b"hidden"},
        labels={"l": "v"},
        tags=("a:1", "b:2"),
        no_cache=True,
    )
    argv = build_argv(OLD, request, Path("/private"), Path("/private/recipe/Dockerfile"))
    assert argv == (
        "docker",
        "build",
        "--progress=plain",
        "--iidfile=/private/iid",
        "--file=/private/recipe/Dockerfile",
        "--target=job",
        "--build-arg=A=--x",
        "--build-arg=B=2",
        "--secret=id=T,src=/private/secrets/T",
        "--label=l=v",
        "--tag=a:1",
        "--tag=b:2",
        "--no-cache",
        "--",
        str(tmp_path.resolve()),
    )
    assert "hidden" not in repr(request)


def test_a_scope_is_no_repositorys_to_choose(tmp_path: Path) -> None:
    given = {"BUILDKIT_CACHE_MOUNT_NS": "theirs", "BUILDKIT_SANDBOX_HOSTNAME": "theirs"}
    request = BuildRequest(context=tmp_path, dockerfile_text="FROM x", build_args=given, scope="0a1b")
    argv = build_argv(OLD, request, Path("/private"), Path("/private/recipe/Dockerfile"))
    assert "--build-arg=BUILDKIT_CACHE_MOUNT_NS=0a1b" in argv
    assert "--add-host=0a1b.invalid:127.0.0.1" in argv
    assert not any("theirs" in word for word in argv)
    assert "0a1b" not in repr(request)


def test_a_request_has_one_dockerfile(tmp_path: Path) -> None:
    for request in ({}, {"dockerfile_text": "x", "dockerfile_path": tmp_path}):
        with pytest.raises(ValueError, match="either dockerfile_text or dockerfile_path"):
            BuildRequest(context=tmp_path, **request)


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def build_with(
    script: Path, context: Path, stop: threading.Event | None = None, limit: float | None = 10.0
) -> bytes:
    output = bytearray()

    def hear(chunk: bytes) -> None:
        output.extend(chunk)
        if stop is not None and b"ready" in chunk:
            stop.set()

    image = BuildKitCli("test://no-engine", cli=Cli((str(script),), is_buildx=False)).build(
        BuildRequest(
            context=context, dockerfile_text="FROM x\n", dockerignore="y", secrets={"T": b"s"}, logins=LOGINS
        ),
        on_output=hear,
        on_step=lambda step: None,
        should_stop=stop or threading.Event(),
        time_limit_seconds=limit,
    )
    assert image.digest == "sha256:abc"
    return bytes(output)


PRINT_INPUTS = """
for a; do case $a in --iidfile=*) echo sha256:abc > "${a#*=}";; --file=*) f=${a#*=};; esac; done
env | sort; cat "$f" "$f.dockerignore"; echo
stat -c %a "$HOME/../secrets/T" "$HOME/.." "$DOCKER_CONFIG/config.json"
cat "$DOCKER_CONFIG/config.json"; echo; echo "$@"; cat "$HOME/../secrets/T"; pwd
"""
LOGINS = {"docker.io": Login("ada", "pass word"), "images.example.com:5000": Login("ben", "other")}


def test_the_child_gets_an_environment_and_a_directory_of_its_own(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    output = build_with(program(tmp_path / "docker", PRINT_INPUTS), context).decode()
    *environment, recipe, ignore, secret_mode, directory_mode, config_mode, config, argv, rest = (
        output.splitlines()
    )
    names = {line.partition("=")[0] for line in environment}
    own = {"BUILDKIT_PROGRESS", "DOCKER_BUILDKIT", "DOCKER_CONFIG", "DOCKER_HOST", "HOME", "PATH"}
    assert names - {"PWD"} == own
    assert (recipe, ignore, secret_mode, directory_mode, config_mode) == ("FROM x", "y", "600", "700", "600")
    assert json.loads(config)["auths"] == {
        "https://index.docker.io/v1/": {"auth": base64.b64encode(b"ada:pass word").decode()},
        "images.example.com:5000": {"auth": base64.b64encode(b"ben:other").decode()},
    }
    for each in LOGINS.values():
        assert each.password not in "".join((*environment, argv, repr(each)))
    private = Path(rest.removeprefix("s"))
    assert not private.exists(), "nothing stays"
    assert list(context.iterdir()) == []


HANGS = 'trap "" TERM; echo ready; (trap "" TERM; while :; do sleep 0.05; done) & echo $! ; wait'


@pytest.mark.parametrize(("limit", "kind"), [(None, BuildCancelled), (0.3, BuildTimedOut)])
def test_the_whole_group_of_processes_ends(
    tmp_path, monkeypatch, limit: float | None, kind: type[Exception]
) -> None:
    monkeypatch.setattr("builders.backends.process.GRACE_SECONDS", 0.1)
    pid = tmp_path / "pid"
    script = program(
        tmp_path / "docker", HANGS.replace("echo $!", f"echo $! > {pid}").replace("wait", "sleep 60")
    )
    stop = threading.Event() if limit is None else None
    with pytest.raises(kind):
        build_with(script, tmp_path, stop, limit)
    assert ends(int(pid.read_text()))


def test_no_name_of_a_variable_leads_elsewhere(tmp_path: Path) -> None:
    for name in ("../x", "a,src=/etc/shadow", ""):
        request = BuildRequest(context=tmp_path, dockerfile_text="", secrets={name: b""})
        with pytest.raises(BuildFailed, match="name of a build variable"):
            BuildKitCli("test://no-engine", cli=OLD).build(
                request,
                on_output=lambda chunk: None,
                on_step=lambda step: None,
                should_stop=threading.Event(),
                time_limit_seconds=1,
            )


BUILDX = '[ "$1" = buildx ] && exit 0; echo "Docker version 28.2.2, build x"'
MODERN = '[ "$1" = buildx ] && exit 1; echo "Docker version 28.2.2, build x"'
DEBIAN = '[ "$1" = buildx ] && exit 1; echo "Docker version 20.10.24+dfsg1, build x"'


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ([MODERN, DEBIAN], ("1", ("build",))),
        ([DEBIAN, BUILDX], ("1", ("buildx", "build", "--load"))),
        ([BUILDX, DEBIAN], ("0", ("buildx", "build", "--load"))),
    ],
)
def test_the_cli_is_one_that_can(tmp_path: Path, programs: list[str], expected: tuple) -> None:
    for number, script in enumerate(programs):
        program(tmp_path / str(number) / "docker", script)
    found = find_cli(":".join(str(tmp_path / str(number)) for number in range(len(programs))), "")
    assert found == Cli(
        (str(tmp_path / expected[0] / "docker"), *expected[1]), is_buildx="buildx" in expected[1]
    )


def test_a_plugin_is_called_by_itself(tmp_path: Path) -> None:
    plugin = program(tmp_path / "plugins" / "docker-buildx", '[ "$1" = version ]')
    program(tmp_path / "bin" / "docker", BUILDX)
    found = find_cli(str(tmp_path / "bin"), str(tmp_path / "plugins"))
    assert found == Cli((str(plugin), "build", "--load"), is_buildx=True)


def test_without_a_cli_that_can_the_fix_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"Nothing here can build with BuildKit\. Install"):
        find_cli(str(tmp_path), "")
    program(tmp_path / "x" / "docker", MODERN)
    with pytest.raises(BackendUnavailable, match=r"can build with BuildKit\. Install"):
        find_cli(str(tmp_path / "x"), "")


def test_output_that_claims_to_be_progress_costs_little_and_breaks_nothing() -> None:
    """What is searched in quadratic time is short; no number is longer than Python reads."""
    steps: list[Step] = []
    reader = ProgressReader(steps.append, lambda: 2.0)
    endless = b"9" * 5_000
    for line in (b"#%s x", b"#1 [1/%s] RUN", b"#2 x\n#2 DONE %s.%ss" % (b"1", b"%s"), b"#2 DONE %ss"):
        reader.feed(line % endless + b"\n")
    assert not [step for step in steps if (step.duration or 0) > 10**9 or (step.total or 0) > 10**9]
    for text in (b"unexpected status code ", b"executor failed running "):
        reader.feed(text * 2_500 + b"\n")
        reader.feed(b"#1 ERROR: " + text * 2_500 + b"\n")
    assert max(map(len, [*reader.tail, reader.error])) <= MAX_SAID
    assert isinstance(explain_failure(reader, 1), BuildFailed)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (b"#5 ERROR: executor failed running [x]: exit code: 3\n", BuildFailed),
        (b"#5 ERROR: executor failed running [x]: exit code: 137\n", BackendUnavailable),
        (b"#5 ERROR: context canceled\n", BackendUnavailable),
        (b"words that no CLI has said yet\n", BackendUnavailable),
    ],
)
def test_an_engine_that_went_away_is_believed_before_the_cli(end: bytes, kind: type[Exception]) -> None:
    """Unless a step had failed by itself before."""
    reader, _ = read([b"#5 [2/2] RUN x\n" + end])
    assert type(explain_failure(reader, 1, engine_went_away=True)) is kind
    assert type(explain_failure(reader, 1)) is BuildFailed


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('Get "https://r.example.com/v2/": dial tcp 192.0.2.1:443: i/o timeout', BackendUnavailable),
        ("received unexpected HTTP status: 503 Service Unavailable", BackendUnavailable),
        ("denied: requested access to the resource is denied", type(None)),
    ],
)
def test_a_registry_or_an_engine_that_is_away_refused_no_push(line: str, kind: type[object]) -> None:
    assert type(not_pushed("r.example.com/x:1", line, engine_went_away=False)) is kind
    assert type(not_pushed("r.example.com/x:1", line, engine_went_away=True)) is BackendUnavailable
