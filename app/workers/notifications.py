"""Messages of release flows on their way to an address, such as that of a chat's channel.

A message is posted outside of any transaction, so a server that dies between the post and its record posts it once
more after the next start: the same message may arrive twice, but none is lost. Its key tells a receiver that cares.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from app.domain.errors import JobyardError, TransientError
from app.domain.flow_nodes import MessageNode
from app.domain.flows import FlowRun, Node, NodeStatus
from app.domain.sealing import of_message
from app.runtime.ports import Clock, Vault
from app.store import flows
from app.store.database import Database, StoreUnavailable
from app.workers.flows import fail_node

log = logging.getLogger(__name__)
SENDING_TAKES_AT_MOST = timedelta(seconds=30)  # longer than a post may take; then another server may try
Post = Callable[
    [str, str, str], str
]  # (url, text, key): a sentence; raises JobyardError without the url in it


@dataclass(frozen=True)
class NotificationWorker:
    """Posts what is due, one message after the other."""

    db: Database
    clock: Clock
    vault: Vault
    post: Post

    def step(self) -> bool:
        """True if anything was sent, or tried."""
        with self.db.read() as tx:
            waiting = flows.unsent(tx, self.clock.now())
        return sum(self._try_to_send(run_id, node_id) for run_id, node_id in waiting) > 0

    def _try_to_send(self, run_id: int, node_id: int) -> bool:
        """A message that meets a fault of ours does not hold up the others."""
        try:
            return self._send(run_id, node_id)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("message %s of flow run %s could not be sent", node_id, run_id)
            return False

    def _send(self, run_id: int, node_id: int) -> bool:
        now = self.clock.now()
        with self.db.write() as tx:
            node = flows.claim_message(tx, node_id, now, now + SENDING_TAKES_AT_MOST)
            if node is None:
                return False
            run = flows.run_with_id(tx, run_id)
        message = node.spec
        assert isinstance(message, MessageNode)
        assert message.url is not None
        try:
            url = self.vault.open(message.url, of_message(run.project_id, run.flow_id, node.name))
            said = self.post(url, message.message, _key(run, node))
            status = NodeStatus.SUCCEEDED
        except TransientError as error:
            said, status = str(error), NodeStatus.WAITING
        except JobyardError as error:  # it would be so again
            said, status = str(error), NodeStatus.FAILED
        except Exception:
            log.exception("message %s of flow run %s could not be sent", node_id, run_id)
            said = "Jobyard failed while sending the message; the server's log has more."
            status = NodeStatus.WAITING
        with self.db.write() as tx:
            flows.lock(tx, run.flow_id)
            current = flows.run_with_id(tx, run_id)
            if _node(current, node_id) == node:
                now = self.clock.now()
                if status.is_over:
                    flows.set_node(tx, run_id, node, status, now, say=said)
                else:
                    fail_node(tx, current, node, node.tries, said, now)
        return True


def _key(run: FlowRun, node: Node) -> str:
    """The same for every post of one message, and unlike that of any other, also of another Jobyard's."""
    return f"jobyard-{run.created_at:%Y%m%dT%H%M%S.%f}-{run.id}-{node.id}"


def _node(run: FlowRun, node_id: int) -> Node:
    return next(node for node in run.nodes if node.id == node_id)
