"""The pulse of a cluster: notice that it went away before Ray ends this process.

Ray's core ends a driver, with its own text and exit code 1, about 15 s after the agent
(raylet) of this machine died, or when the head (GCS) was out of reach for a minute; and
no exception tells of it. Their ports tell it sooner: nobody listens there any more.

It must be asked between calls to Ray. A call that needs the head, such as making a
worker, blocks while the head is away; if it dies just then, Ray ends the process.
"""

import os
import socket
import time
from collections.abc import Callable

from senn_ray.core.errors import ClusterLostError

LOOK_S = 1.0
"""Seconds between two looks at the head, and the longest wait for its answer."""
PRIVATE_PATIENCE_S = 5.0
"""Nobody restarts the head of a private cluster, but it may be slow to answer."""
# Ray's own limit, and its default, after which it ends the process.
_LIMIT = ("RAY_gcs_rpc_server_reconnect_timeout_s", 60.0)
Address = tuple[str, int]


def head_patience_s() -> float:
    """Return how long a head may be away: it may be restarted, but Ray does not wait."""
    variable, default = _LIMIT
    return float(os.environ.get(variable) or default) / 2


class Pulse:
    """Tell that the agent of this machine, or the head, is gone."""

    def __init__(
        self,
        where: str,
        *,
        agent: Address,
        head: Address,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Note whom to look at; one that cannot be reached at first is not looked at.

        Args:
            where: The cluster, for people.
            agent: Where the agent of this machine listens.
            head: Where the head of the cluster listens.
            patience_s: How long the head may be away.
            clock: Tells seconds.
        """
        self.is_lost = False
        self._where, self._patience_s, self._clock = where, patience_s, clock
        self._agent = agent if _listens(agent) is True else None
        self._head = head if _listens(head) is True else None
        self._looked_s = self._heard_s = clock()

    def check(self) -> None:
        """Look; it is a ClusterLostError if one of them is gone."""
        # The agent never comes back, and a look at a port of this machine costs nothing.
        if self._agent and _listens(self._agent) is False:
            raise self._loss("the agent (raylet) of this machine", self._agent)
        now = self._clock()
        if self._head is None or now < self._looked_s + LOOK_S:
            return
        self._looked_s = now
        if _listens(self._head):
            self._heard_s = now
        elif now >= self._heard_s + self._patience_s:
            raise self._loss("the head (GCS)", self._head)

    def _loss(self, who: str, address: Address) -> ClusterLostError:
        self.is_lost = True
        host, port = address
        return ClusterLostError(
            f"{self._where} went away: {who} no longer answers at {host}:{port}"
        )


def _listens(address: Address) -> bool | None:
    """Tell whether somebody listens; nothing, if that cannot be told."""
    try:
        socket.create_connection(address, timeout=LOOK_S).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True
