"""A real Kubernetes cluster on this machine: a control plane and two kubelets, each in a network namespace.

`programs` is its Go module: the programs of Kubernetes and etcd in one binary, with the published twins of the modules
that Kubernetes replaces by its own directories. `build` compiles it, `network` and `machines` are what it runs on, and
`cluster` starts it. Called as a program, `scripts/test-kubernetes` being its door, the package runs a command with it.
"""
