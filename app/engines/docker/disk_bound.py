"""Whether the engine bounds what containers write to their own files, and what it has to be told for that."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

from app.engines.base import ContainerSpec
from app.engines.docker import images
from app.engines.docker.api_objects import ApiObject
from app.engines.docker.calls import Calls, Refusal
from app.engines.docker.request import storage_option

_LABEL = "jobyard.trial"  # of what is made for the trial, and removed at once
_EMPTY_TAR = bytes(1024)
_OF_CONTAINERD = "io.containerd.snapshotter"  # begins the type of a driver that ignores the option
_WITH_IMAGE = {"btrfs", "devicemapper"}  # storage drivers that count the image's files, too


class DiskBound:
    """Finds out with a container that is created from an empty image and never started: `docker info` does not tell
    how a file system is mounted. What was found is kept until `forget`. Calls raise EngineUnavailable.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._driver = ""
        self._found: dict[int, str] = {}

    def refusal(self, size: int) -> str:
        """Return a sentence why containers can't be held to so many bytes, or nothing where they can."""
        with self._lock:
            if size not in self._found:
                self._found[size] = self._try(size)
            return self._found[size]

    def told(self, spec: ContainerSpec) -> ContainerSpec:
        """Return the specification with the `disk_bytes` that this engine is to be told: none where it can't, and the
        image's size more where that counts. Raises ImageUnavailable.
        """
        if not spec.disk_bytes:
            return spec
        if self.refusal(spec.disk_bytes):
            return replace(spec, disk_bytes=0)
        if self._driver in _WITH_IMAGE:
            return replace(spec, disk_bytes=spec.disk_bytes + images.size(self._calls, spec.image))
        return spec

    def forget(self) -> None:
        """Find out anew: another engine may answer from now on, or the same with other storage."""
        with self._lock:
            self._found.clear()

    def _try(self, size: int) -> str:
        with self._calls.api() as client:
            info: ApiObject = client.info()
        self._driver = info["Driver"]
        status = dict(info.get("DriverStatus") or ())
        if status.get("driver-type", "").startswith(_OF_CONTAINERD):
            return f"The engine keeps containers with {self._driver} of containerd, which knows no bound."
        with self._calls.api() as client:
            answer = client.import_image_from_data(_EMPTY_TAR, changes=[f"LABEL {_LABEL}=disk"])
        image = json.loads(answer.splitlines()[-1])["status"]
        try:
            refused = self._refused(image, size)
        finally:
            with self._calls.api() as client:
                client.remove_image(image)
        over = status.get("Backing Filesystem")
        kept = f"{self._driver} over {over}" if over else self._driver
        return refused and f"The engine keeps containers with {kept}, and refuses a bound: {refused}."

    def _refused(self, image: str, size: int) -> str:
        """Return the engine's words against the bound. Raises Refusal if it creates no other container either."""
        try:
            self._create(image, storage_option(size))
        except Refusal as error:
            self._create(image, {})
            return error.explanation.rstrip(".")
        return ""

    def _create(self, image: str, option: ApiObject) -> None:
        """Create a container and remove it. Raises Refusal."""
        body = {"Image": image, "Cmd": ["none"], "Labels": {_LABEL: "disk"}, "HostConfig": option}
        with self._calls.api() as client:
            made = client.create_container_from_config(body)
            client.remove_container(made["Id"], v=True)
