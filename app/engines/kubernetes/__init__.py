"""The Kubernetes engine: a Job of its own for each attempt, in one namespace of a cluster.

`manifests` and `classify` are pure: a specification in, objects out; objects in, a value of the contract out. `api`
is the only way to the cluster, `watch` what all who wait share, `starting` the way from a specification to a container
that runs. `engine` does what they say.
"""

from app.engines.kubernetes.engine import KubernetesEngine

__all__ = ["KubernetesEngine"]
