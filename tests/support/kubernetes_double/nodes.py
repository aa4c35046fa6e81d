"""What a kubelet does with a pod, on the machine's own container engine."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import docker

from app.engines.docker.frames import Demultiplexer, parse_entry
from tests.support.kubernetes_double.objects import Object, Objects, Problem, now

LABEL = "kubernetes-double"
_VARIABLE = re.compile(r"\$(\$|\([A-Za-z_][A-Za-z0-9_]*\))")
_RETRY_SECONDS = 0.2
_INPUT, _SIZE = 0, 4
_NEVER_TYPED = "ctrl-^,j,o,b,y,a,r,d"  # Docker leaves a terminal by these, and a cluster by none


class Node:
    """Runs the containers of pods that are assigned to it."""

    def __init__(self, name: str, cluster: str, objects: Objects, client: docker.APIClient) -> None:
        self.name = name
        self._cluster, self._objects, self._client = cluster, objects, client
        self._containers: dict[str, str] = {}  # by the pod's name

    def run(self, pod: Object) -> None:
        """Start the pod's container and follow it to its end. Returns early once the pod is gone."""
        name = pod["metadata"]["name"]
        container = pod["spec"]["containers"][0]
        try:
            if not self._pull(name, container["image"], self._login(pod)):
                return
            made = self._create(pod, container)
            self._containers[name] = made
            if self._start(name, made):
                self._follow(name, made)
        except Problem:
            return  # the pod is gone

    def _pull(self, name: str, image: str, login: dict[str, str] | None) -> bool:
        while not self._is_being_deleted(name):
            try:
                self._client.inspect_image(image)
            except docker.errors.ImageNotFound:
                try:
                    self._client.pull(image, auth_config=login)
                except docker.errors.APIError as error:
                    self._waits(name, "ErrImagePull", str(error.explanation))
                    self._objects.wait_for(lambda: self._is_being_deleted(name), _RETRY_SECONDS)
                    continue
            return True
        self._terminates(name, {"exitCode": 137, "reason": "ContainerStatusUnknown"})
        return False

    def _login(self, pod: Object) -> dict[str, str] | None:
        for each in pod["spec"].get("imagePullSecrets") or ():
            data = self._objects.get("secrets", each["name"])["data"][".dockerconfigjson"]
            (login,) = json.loads(base64.b64decode(data))["auths"].values()
            return dict(login)
        return None

    def _is_being_deleted(self, name: str) -> bool:
        return "deletionTimestamp" in self._objects.get("pods", name)["metadata"]

    def _create(self, pod: Object, container: Object) -> str:
        env = self._env(container)
        argv = {
            key: [_expanded(each, env) for each in container.get(key) or ()] for key in ("command", "args")
        }
        security = container.get("securityContext") or {}
        mounts = {each["mountPath"]: "rw,exec,mode=1777" for each in container.get("volumeMounts") or ()}
        limits = container["resources"]["limits"]
        body = {
            "Image": container["image"],
            "Entrypoint": argv["command"] or None,
            "Cmd": argv["args"] or None,
            "Env": [f"{key}={value}" for key, value in env.items()],
            "Labels": {LABEL: self._cluster},
            **(
                {"User": f"{security['runAsUser']}:{security['runAsGroup']}"}
                if "runAsUser" in security
                else {}
            ),
            "HostConfig": {
                "Init": pod["spec"].get("shareProcessNamespace", False),
                "CapDrop": security["capabilities"]["drop"],
                "ReadonlyRootfs": security.get("readOnlyRootFilesystem", False),
                "Tmpfs": mounts,
                "Memory": int(limits["memory"]),
                "MemorySwap": int(limits["memory"]),
                "NanoCpus": int(limits["cpu"].removesuffix("m")) * 1_000_000,
                "LogConfig": {"Type": "local", "Config": {}},
            },
        }
        return str(self._client.create_container_from_config(body)["Id"])

    def _env(self, container: Object) -> dict[str, str]:
        env: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            data = self._objects.get("secrets", source["secretRef"]["name"]).get("data") or {}
            env |= {key: base64.b64decode(value).decode() for key, value in data.items()}
        return env

    def _start(self, name: str, container_id: str) -> bool:
        try:
            self._client.start(container_id)
        except docker.errors.APIError as error:
            at = now()
            told = {"exitCode": 128, "reason": "StartError", "message": str(error.explanation)}
            self._terminates(name, {**told, "startedAt": at, "finishedAt": at})
            return False
        found = self._client.inspect_container(container_id)
        address = found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        state = {"running": {"startedAt": _seconds(found["State"]["StartedAt"])}}
        self._report(name, "Running", state, {"podIP": address})
        return True

    def _follow(self, name: str, container_id: str) -> None:
        try:
            self._client.wait(container_id, timeout=600)
            state = self._client.inspect_container(container_id)["State"]
        except docker.errors.NotFound:
            return
        reason = "OOMKilled" if state["OOMKilled"] else "Completed" if state["ExitCode"] == 0 else "Error"
        times = {"startedAt": _seconds(state["StartedAt"]), "finishedAt": _seconds(state["FinishedAt"])}
        self._terminates(name, {"exitCode": state["ExitCode"], "reason": reason, **times})

    def _waits(self, name: str, reason: str, message: str) -> None:
        self._report(name, "Pending", {"waiting": {"reason": reason, "message": message}}, {})

    def _terminates(self, name: str, ended: Object) -> None:
        phase = "Succeeded" if ended["exitCode"] == 0 else "Failed"
        self._report(name, phase, {"terminated": ended}, {})

    def _report(self, name: str, phase: str, state: Object, more: Object) -> None:
        def change(pod: Object) -> None:
            status = {"name": "main", "state": state, "ready": False, "restartCount": 0}
            pod["status"] |= {"phase": phase, "containerStatuses": [status], **more}

        self._objects.change("pods", name, change)

    def stop(self, name: str, grace_seconds: int) -> None:
        container_id = self._containers.get(name)
        if container_id is not None:
            with contextlib.suppress(docker.errors.NotFound):
                self._client.stop(container_id, timeout=grace_seconds)

    def remove(self, name: str) -> None:
        container_id = self._containers.pop(name, None)
        if container_id is not None:
            with contextlib.suppress(docker.errors.APIError):
                self._client.remove_container(container_id, force=True, v=True)

    def log(self, name: str, *, follow: bool, timestamps: bool, since: str) -> Iterator[bytes]:
        """As a kubelet reads a file: one time for a line, however many pieces it has, and no line without its end."""
        container_id = self._containers[name]
        path = f"/containers/{container_id}/logs"
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
        answer = self._client.get(self._client._url(path), params=params, stream=True, timeout=None)
        with contextlib.closing(answer):
            yield from self._lines(container_id, answer, follow=follow, timestamps=timestamps, since=since)

    def _lines(
        self, container_id: str, answer: Any, *, follow: bool, timestamps: bool, since: str
    ) -> Iterator[bytes]:
        frames, is_new, is_wanted = Demultiplexer(), True, True
        for data in answer.raw.stream(1 << 16, decode_content=False):
            out = bytearray()
            for stream, payload in frames.feed(data):
                entry = parse_entry(stream, payload)
                if is_new:
                    is_wanted = not since or entry.stamp[:19] >= since[:19]
                if is_wanted:
                    out += (f"{entry.stamp} ".encode() if is_new and timestamps else b"") + entry.data
                is_new = entry.data.endswith(b"\n")
            if out:
                yield bytes(out)
        if not (follow or is_new) and is_wanted and self._has_ended(container_id):
            yield b"\n"

    def _has_ended(self, container_id: str) -> bool:
        with contextlib.suppress(docker.errors.NotFound):
            return not self._client.inspect_container(container_id)["State"]["Running"]
        return True

    def execute(self, name: str, argv: list[str]) -> Iterator[tuple[int, bytes]]:
        """Yield what a command beside the process says, by stream, and at last its exit code as the stream 0."""
        made = self._client.exec_create(self._containers[name], argv)["Id"]
        connection = self._client.exec_start(made, socket=True)
        frames = Demultiplexer()
        with contextlib.closing(connection._sock) as socket, contextlib.closing(connection._response):
            while data := socket.recv(1 << 16):
                yield from ((int(stream), payload) for stream, payload in frames.feed(data))
        yield 0, str(self._client.exec_inspect(made)["ExitCode"]).encode()

    @contextlib.contextmanager
    def terminal(self, name: str, argv: list[str]) -> Iterator[Terminal]:
        """A command beside the process, on a terminal."""
        made = self._client.exec_create(
            self._containers[name], argv, stdin=True, tty=True, detach_keys=_NEVER_TYPED
        )["Id"]
        connection = self._client.exec_start(made, tty=True, socket=True)
        with contextlib.closing(connection._sock) as socket, contextlib.closing(connection._response):
            yield Terminal(self._client, made, socket)

    def close(self) -> None:
        threads = [threading.Thread(target=self.remove, args=[name]) for name in list(self._containers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class Terminal:
    """A command on a terminal, by the channels that a cluster has for it."""

    def __init__(self, client: Any, exec_id: str, socket: Any) -> None:
        self._client, self._exec_id, self._socket = client, exec_id, socket

    def output(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(1 << 15):
                yield data

    @property
    def exit_code(self) -> int:
        return int(self._client.exec_inspect(self._exec_id)["ExitCode"] or 0)

    def take(self, channel: int, data: bytes) -> None:
        if channel == _INPUT:
            self._socket.sendall(data)
        elif channel == _SIZE:
            size = json.loads(data)
            self._client.exec_resize(self._exec_id, height=size["Height"], width=size["Width"])

    def leave(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(2)


def _seconds(stamp: str) -> str:
    return f"{stamp[:19]}Z"


def _expanded(argument: str, env: dict[str, str]) -> str:
    """As a kubelet puts variables in: `$$` is one `$`, and `$(NAME)` stays where there is no such variable."""

    def put(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else env.get(found[1][1:-1], found[0])

    return _VARIABLE.sub(put, argument)
