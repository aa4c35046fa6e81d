"""Engines on other machines that can't be trusted, reached or entered: one sentence each, and nothing is concluded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.domain.errors import EngineUnavailable
from app.domain.output import Seen, Stream
from app.engines.base import ContainerSpec, ExitKind, Handle
from app.engines.docker import DockerEngine
from app.engines.docker.tunnel import Tunnel
from builders.backends.base import BackendUnavailable, BuildRequest
from builders.backends.buildkit import BuildKitCli
from tests.support.engine_harness import utc_now
from tests.support.processes import ends, kill
from tests.support.remote_engine import Authority, SshEngine, TlsEngine, ssh_engine, tls_engine
from tests.support.server import free_port


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEngine]:
    with tls_engine(tmp_path_factory.mktemp("tls")) as engine:
        yield engine


@pytest.fixture(scope="module")
def over_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshEngine]:
    with ssh_engine(tmp_path_factory.mktemp("ssh")) as engine:
        yield engine


def said_by(engine: DockerEngine) -> str:
    """What an engine that can't be asked is said to lack."""
    with closing(engine), pytest.raises(EngineUnavailable) as raised:
        engine.info()
    return str(raised.value)


class TestOverTls:
    def test_a_certificate_of_somebody_elses(self, over_tls: TlsEngine, tmp_path: Path) -> None:
        others = Authority().write(tmp_path / "others")
        assert said_by(over_tls.connect("x", certificates=others)) == (
            f"The certificate of the container engine at {over_tls.url} is not valid: renew it there, or put who signs"
            " it into ca.pem of JOBYARD_DOCKER_CERT_PATH (unable to get local issuer certificate)."
        )

    def test_an_authority_in_the_environment_counts_for_nothing(
        self, over_tls: TlsEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        others = Authority().write(tmp_path / "others")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others / "ca.pem"))
        with closing(over_tls.connect("x")) as engine:
            assert engine.info().name == "docker"

    def test_ours_is_refused(self, over_tls: TlsEngine, tmp_path: Path) -> None:
        ours = Authority().write(tmp_path / "ours")
        (ours / "ca.pem").write_bytes((over_tls.certificates / "ca.pem").read_bytes())
        said = said_by(over_tls.connect("x", certificates=ours))
        assert "JOBYARD_DOCKER_CERT_PATH" in said  # the engine's reason may be lost as it hangs up

    def test_one_that_has_expired(self, tmp_path: Path) -> None:
        with tls_engine(tmp_path / "expired", days=-1) as engine:
            assert said_by(engine.connect("x")).endswith("(certificate has expired).")
            with pytest.raises(BackendUnavailable, match=r"doesn't answer \(certificate has expired\)"):
                build(BuildKitCli(engine.url, certificates=engine.certificates), tmp_path)

    def test_nobody_there(self, over_tls: TlsEngine) -> None:
        url = f"tcp://127.0.0.1:{free_port()}"
        engine = DockerEngine(url=url, certificates=over_tls.certificates, installation="x", clock=utc_now)
        assert said_by(engine) == (
            f"The container engine at {url} does not answer: start it there, or correct JOBYARD_DOCKER_HOST"
            " or JOBYARD_DOCKER_CERT_PATH (Connection refused)."
        )

    def test_builds_get_there(self, over_tls: TlsEngine, tmp_path: Path) -> None:
        builder = BuildKitCli(over_tls.url, certificates=over_tls.certificates)
        built = build(builder, tmp_path)
        with closing(over_tls.connect("x")) as engine:
            assert engine.image_config(built)["command"] == ["true"]


class TestOverSsh:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                lambda own, folder: Tunnel(own.url, own.key, own.server.take_host_key("second")),
                (
                    "its host key is not the known one. Compare it, and put it into known_hosts or"
                    " JOBYARD_DOCKER_SSH_HOST_KEY."
                ),
            ),
            (
                lambda own, folder: Tunnel(own.url, folder / "none", own.host_key),
                (
                    "it takes no key of ours. Add our public key to authorized_keys there, or name another one by"
                    " JOBYARD_DOCKER_SSH_KEY."
                ),
            ),
            (
                lambda own, folder: Tunnel(own.url.replace(own.server.host, "127.0.0.1:1"), own.key),
                "ssh: connect to host 127.0.0.1 port 1: Connection refused.",
            ),
        ],
        ids=["another host key", "a key that it does not take", "nobody there"],
    )
    def test_is_told_why_not(
        self,
        over_ssh: SshEngine,
        tmp_path: Path,
        change: Callable[[SshEngine, Path], Tunnel],
        sentence: str,
    ) -> None:
        tunnel = change(over_ssh, tmp_path)
        if "host key" in sentence:
            over_ssh.server.take_host_key("first")
        said = said_by(DockerEngine(url=tunnel.url, tunnel=tunnel, installation="x", clock=utc_now))
        assert (
            said == f"The machine of the container engine at {tunnel.url} can't be reached by ssh: {sentence}"
        )

    def test_no_engine_on_that_machine(self, over_ssh: SshEngine) -> None:
        url = f"{over_ssh.url}.gone"
        tunnel = Tunnel(url, over_ssh.key, over_ssh.host_key)
        assert said_by(DockerEngine(url=url, tunnel=tunnel, installation="x", clock=utc_now)) == (
            f"The container engine at {url} does not answer: start it there, or correct JOBYARD_DOCKER_HOST"
            " (connect failed: open failed)."
        )

    def test_an_output_goes_on_where_its_connection_was_cut(self, over_ssh: SshEngine) -> None:
        tunnel = over_ssh.tunnel()
        shell = "n=0; while [ $n -lt 200 ]; do n=$((n+1)); echo $n; sleep 0.02; done; exit 5"
        spec = ContainerSpec(over_ssh.private.image, command=("sh", "-c", shell), memory_bytes=64 << 20)
        with closing(over_ssh.connect("x", tunnel=tunnel)) as engine:
            handle = engine.start(spec, "cut", 1)
            first = tunnel.pid
            assert first
            output = b""
            for data in followed(engine, handle):
                output += data
                if b"\n20\n" in output:
                    kill(first)
            assert tunnel.pid not in (None, first)
            assert output == b"".join(b"%d\n" % number for number in range(1, 201))
            end = engine.wait(handle)
            assert (end.kind, end.exit_code) == (ExitKind.EXITED, 5)
            engine.remove(handle)

    def test_its_ssh_ends_with_it(self, over_ssh: SshEngine) -> None:
        tunnel = over_ssh.tunnel()
        with closing(over_ssh.connect("x", tunnel=tunnel)) as engine:
            engine.info()
            pid = tunnel.pid
            assert pid
        assert ends(pid)


def followed(engine: DockerEngine, handle: Handle) -> Iterator[bytes]:
    """The container's output, asked for again with what was seen wherever it breaks off."""
    seen, output = None, b""
    while True:
        try:
            for chunk in engine.logs(handle, seen):
                if chunk.stream is Stream.STDOUT:
                    output += chunk.data
                    seen = Seen(chunk.at, len(output), 0, output.count(b"\n"))
                    yield chunk.data
        except EngineUnavailable:
            continue
        return


def build(builder: BuildKitCli, folder: Path) -> str:
    (folder / "context").mkdir()
    request = BuildRequest(
        context=folder / "context", dockerfile_text='FROM busybox:latest\nCMD ["true"]\n', labels={}
    )
    return builder.build(
        request,
        on_output=lambda _: None,
        on_step=lambda _: None,
        should_stop=Never(),
        time_limit_seconds=60,
    ).digest


class Never:
    def is_set(self) -> bool:
        return False
