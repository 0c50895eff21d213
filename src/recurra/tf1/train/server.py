"""tf.train.Server, ClusterSpec's place in it: one process serves itself, sessions with its target run here."""

from __future__ import annotations

import itertools
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
_ports = itertools.count(40000)


@tf_export("train.Server", "distribute.Server", "python.training.server_lib.Server")
class Server:
    """A server of one process. Sessions over several machines are outside recurra's scope."""

    def __init__(
        self, server_or_cluster_def: Any, job_name: str | None = None, task_index: int | None = None,
        protocol: str | None = None, config: Any = None, start: bool = True,
    ) -> None:  # fmt: skip
        self._cluster = server_or_cluster_def
        self._protocol = protocol or "grpc"
        self._port = next(_ports)

    @property
    def target(self) -> str:
        return f"{self._protocol}://localhost:{self._port}"

    @property
    def server_def(self) -> Any:
        return self._cluster

    def start(self) -> None:
        """Nothing to start: sessions run in this process."""

    def join(self) -> None:
        """Returns at once: there is nobody to wait for."""

    @staticmethod
    def create_local_server(config: Any = None, start: bool = True) -> Server:
        """A server of this process."""
        return Server({"localhost": ["localhost:0"]}, protocol="grpc", config=config, start=start)


@tf_export("test.create_local_cluster", "python.framework.test_util.create_local_cluster")
def create_local_cluster(num_workers: int, num_ps: int, protocol: str = "grpc", **_: Any) -> Any:
    """(workers, parameter servers), all of them this process."""
    return tuple([Server.create_local_server() for _ in range(count)] for count in (num_workers, num_ps))
