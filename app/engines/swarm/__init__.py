"""Docker Swarm: a service for each container, on whichever node has room for it.

`request` and `tasks` are pure: a specification in, a service out; a task in, a value of the contract out. `cluster`
asks the manager, once for everybody who waits. Images and builds are those of the manager's own engine.

A service is `replicated`, with one replica that is never started again. Creating it is starting it, and its name says
for which key it is, so that a second one is refused: that is how a start happens once. Stopping it moves its task to no
node, which keeps the task and its exit code; removing it has a node that was cut off end its container on its return.
"""

from app.engines.swarm.engine import SwarmEngine

__all__ = ["SwarmEngine"]
