"""A cluster on this machine: an API server of its own over HTTP, whose pods are containers on the real engine.

What it does is what a real one was seen or is documented to do, as far as the engine asks for it: jobs, pods, secrets
and events of one namespace, watches, logs and commands. Bodies are held to the published schemas; that it speaks as an
API server does is for the real `kubectl` to say (`contract/test_kubernetes_double.py`).
"""

from tests.support.kubernetes_double.cluster import Cluster

__all__ = ["Cluster"]
