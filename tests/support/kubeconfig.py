"""A kubeconfig for a double of a cluster, as a server reads it."""

from __future__ import annotations

from pathlib import Path

import yaml


def kubeconfig(directory: Path, url: str) -> Path:
    path = directory / "kubeconfig"
    context = {"cluster": "double", "user": "jobyard"}
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "double",
        "clusters": [{"name": "double", "cluster": {"server": url}}],
        "users": [{"name": "jobyard", "user": {"token": "a token"}}],
        "contexts": [{"name": "double", "context": context}],
    }
    path.write_text(yaml.safe_dump(told))
    return path
