"""tf.train.ClusterSpec, tf.DeviceSpec, tf.train.replica_device_setter: where a distributed program places things.

Everything runs in this process; the texts are TensorFlow's, since programs print and compare them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from recurra.tf1.names import tf_export

# operations that keep something between runs, and so live on a parameter server
STANDARD_PS_OPS = [
    "Variable",
    "VariableV2",
    "AutoReloadVariable",
    "MutableHashTable",
    "MutableHashTableV2",
    "MutableHashTableOfTensors",
    "MutableHashTableOfTensorsV2",
    "MutableDenseHashTable",
    "MutableDenseHashTableV2",
    "VarHandleOp",
    "ResourceConditionalAccumulator",
]


@tf_export("train.ClusterSpec", "python.training.server_lib.ClusterSpec")
class ClusterSpec:
    """Jobs and the addresses of their tasks: {job: [address, …]} or {job: {task: address}}."""

    def __init__(self, cluster: Any) -> None:
        if isinstance(cluster, ClusterSpec):
            cluster = cluster.as_dict()
        elif hasattr(cluster, "job"):  # a ClusterDef
            cluster = {job.name: dict(job.tasks) for job in cluster.job}
        if not isinstance(cluster, Mapping):
            raise TypeError(
                "`cluster` must be a dictionary mapping one or more job names to lists of network addresses, "
                "or a `ClusterDef` protocol buffer"
            )
        self._tasks: dict[str, dict[int, str]] = {}
        for job, tasks in cluster.items():
            if not isinstance(tasks, list | tuple | Mapping):
                raise TypeError(f"The tasks for job {job!r} must be a list or a dictionary from integers to strings.")
            self._tasks[job] = dict(tasks) if isinstance(tasks, Mapping) else dict(enumerate(tasks))

    def as_dict(self) -> dict[str, Any]:
        """A list of addresses where the tasks are numbered without a gap, else a dict."""
        return {
            job: list(tasks.values()) if sorted(tasks) == list(range(len(tasks))) else dict(tasks)
            for job, tasks in self._tasks.items()
        }

    @property
    def jobs(self) -> list[str]:
        return list(self._tasks)

    def _of(self, job_name: str) -> dict[int, str]:
        if job_name not in self._tasks:
            raise ValueError(f"No such job in cluster: {job_name!r}")
        return self._tasks[job_name]

    def num_tasks(self, job_name: str) -> int:
        """How many tasks a job has; ValueError for an unknown job."""
        return len(self._of(job_name))

    def task_indices(self, job_name: str) -> list[int]:
        """The numbers of a job's tasks."""
        return sorted(self._of(job_name))

    def task_address(self, job_name: str, task_index: int) -> str:
        """The address of one task; ValueError when there is none."""
        tasks = self._of(job_name)
        if task_index not in tasks:
            raise ValueError(f"No task with index {task_index!r} in job {job_name!r}")
        return tasks[task_index]

    def job_tasks(self, job_name: str) -> list[str | None]:
        """A job's addresses by number, None where a number is left out."""
        tasks = self._of(job_name)
        return [tasks.get(i) for i in range(max(tasks, default=-1) + 1)]

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClusterSpec) and self._tasks == other._tasks

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ClusterSpec({self.as_dict()})"


@tf_export("DeviceSpec", "python.framework.device.DeviceSpec")
class DeviceSpec:
    """The parts of a device's name; None for those not said."""

    _FIELDS = ("job", "replica", "task", "device_type", "device_index")

    def __init__(
        self, job: Any = None, replica: Any = None, task: Any = None, device_type: Any = None, device_index: Any = None
    ) -> None:
        self.job, self.replica, self.task = job, replica, task
        self.device_type, self.device_index = device_type, device_index

    @classmethod
    def from_string(cls, spec: str) -> DeviceSpec:
        """`/job:ps/task:2/device:CPU:0`, `/gpu:1`; ValueError for a part that no device has."""
        return cls().parse_from_string(spec)

    def parse_from_string(self, spec: str) -> DeviceSpec:
        """Take the parts of a name into this one."""
        for part in filter(None, (spec or "").split("/")):
            key, _, value = part.partition(":")
            if key == "job":
                self.job = value
            elif key in ("replica", "task"):
                setattr(self, key, int(value))
            elif match := re.fullmatch(r"(?:device:)?(\w+):(\d+|\*)", part):
                if key != "device" and key.upper() not in ("CPU", "GPU"):
                    raise ValueError(f"Unknown attribute: {key!r} in {spec!r}")
                self.device_type = match[1].upper()
                self.device_index = None if match[2] == "*" else int(match[2])
            else:
                raise ValueError(f"Unknown attribute: {key!r} in {spec!r}")
        return self

    def merge_from(self, dev: DeviceSpec) -> None:
        """The parts that `dev` says replace these."""
        for field in self._FIELDS:
            if getattr(dev, field) is not None:
                setattr(self, field, getattr(dev, field))

    def to_string(self) -> str:
        """The name."""
        text = "".join(
            f"/{key}:{getattr(self, key)}" for key in ("job", "replica", "task") if getattr(self, key) is not None
        )
        if self.device_type is None:
            return text
        return f"{text}/device:{self.device_type.upper()}:{'*' if self.device_index is None else self.device_index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeviceSpec) and self.to_string() == other.to_string()

    def __hash__(self) -> int:
        return hash(self.to_string())


@tf_export("train.replica_device_setter")
def replica_device_setter(
    ps_tasks: int = 0,
    ps_device: str = "/job:ps",
    worker_device: str = "/job:worker",
    merge_devices: bool = True,
    cluster: Any = None,
    ps_ops: Any = None,
    ps_strategy: Callable[[Any], int] | None = None,
) -> Callable[[Any], str] | None:
    """A function for tf.device: variables on the parameter servers in turn, the rest on the worker.

    None where there are no parameter servers. Raises TypeError for a cluster that is none, a strategy that is no function.
    """  # noqa: E501
    if cluster is not None:
        jobs = ClusterSpec(cluster).as_dict()
        ps_tasks = len(jobs.get(DeviceSpec.from_string(ps_device).job or "", ()))
    if ps_tasks == 0:
        return None
    turn = itertools.cycle(range(ps_tasks))
    strategy = ps_strategy or (lambda op: next(turn))
    if not callable(strategy):
        raise TypeError("ps_strategy must be callable")
    kept = STANDARD_PS_OPS if ps_ops is None else ps_ops

    def device(op: Any) -> str:
        if not merge_devices and op.device:
            return str(op.device)
        asked = DeviceSpec.from_string(op.device)
        on_server = bool(ps_device) and op.type in kept
        chosen = DeviceSpec.from_string(ps_device if on_server else worker_device)
        if on_server and chosen.job and asked.job in (None, chosen.job):
            chosen.task = strategy(op)
        chosen.merge_from(asked)
        return chosen.to_string()

    return device
