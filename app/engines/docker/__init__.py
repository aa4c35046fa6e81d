"""The Docker engine: containers over the Engine API, hardened, started once, their output attached before
they start.

`request` and `state` are pure: a specification in, a request out; an answer in, a value of the contract out.
`fencing` decides the next step of a start. `frames` and `output` take the log apart. `engine` does what they
say.
"""

from app.engines.docker.engine import DockerEngine

__all__ = ["DockerEngine"]
