"""What containers may reach, enforced by rules of the engine's machine for the engine's bridges.

`rules` is pure: what may be reached in, rules out. `namespace` finds out whether the rules are the server's to set, and
sets them. `keeper` keeps them as they should be.
"""

from app.engines.docker.egress.keeper import EgressKeeper

__all__ = ["EgressKeeper"]
