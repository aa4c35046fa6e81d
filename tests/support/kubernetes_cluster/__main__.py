"""`python -m tests.support.kubernetes_cluster COMMAND …` runs a command with a cluster, which KUBECONFIG names."""

from __future__ import annotations

import signal
import sys

from tests.support.kubernetes_cluster.cluster import call

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all of it is taken down
    raise SystemExit(call(sys.argv[1:]))
