"""tf.Session: runs plans of a graph and holds the values of its variables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from recurra.tf1 import deadline, errors, plan
from recurra.tf1.feeding import Feed, flat_feed
from recurra.tf1.fetches import FetchMapper, structure
from recurra.tf1.graph import Graph, get_default_graph
from recurra.tf1.names import tf_export
from recurra.tf1.partial_run import PartialRun
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.values import Cell, to_numpy

_set_grad = torch._C._set_grad_enabled
_threads, _set_threads = torch.get_num_threads, torch.set_num_threads


class _Local(threading.local):
    def __init__(self) -> None:
        self.stack: list[BaseSession] = []


_local = _Local()


@tf_export("get_default_session")
def get_default_session() -> Any:
    """The innermost default session, or None."""
    return _local.stack[-1] if _local.stack else None


class BaseSession:
    """A session over one graph."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None):
        if graph is not None and not isinstance(graph, Graph):
            raise TypeError(f"graph must be a tf.Graph, but got {type(graph)}")
        if target is not None and not isinstance(target, str | bytes):
            raise TypeError(f"target must be a string, but got {type(target)}")
        if config is not None and not hasattr(config, "gpu_options"):
            raise TypeError(f"config must be a tf.ConfigProto, but got {type(config)}")
        if graph is not None and graph.building_function:
            raise ValueError("Do not run a session over a graph that is being built.")
        self._graph = graph or get_default_graph()
        self._target, self._config = target, config
        self._closed = False
        self._plans: dict[Any, tuple[plan.Plan, list[Any]]] = {}
        self._mappers: dict[Any, tuple[Any, FetchMapper]] = {}
        self._feed_keys: dict[Any, Feed] = {}
        self._lock = threading.RLock()
        self.cells: dict[Operation, Cell] = {}
        self._resources: dict[Any, Any] = {}
        self._partial_runs: dict[str, PartialRun] = {}
        self.run_hooks: list[Callable[[], None]] = []
        self.run_count = 0

    # -- state -------------------------------------------------------------------------------------------------------
    def cell(self, op: Operation) -> Cell:
        """The storage of a variable's operation in this session."""
        found = self.cells.get(op)
        if found is None:
            with self._lock:
                found = self.cells.setdefault(op, Cell(op))
        return found

    def resource(self, key: Any, factory: Callable[[], Any]) -> Any:
        """The Python object of one stateful operation (or any other key) in this session, made on first use."""
        if key not in self._resources:
            with self._lock:
                if key not in self._resources:
                    self._resources[key] = factory()
        return self._resources[key]

    @property
    def graph(self) -> Graph:
        return self._graph

    @property
    def graph_def(self) -> Any:
        return self._graph.as_graph_def()

    @property
    def sess_str(self) -> Any:
        return self._target

    def list_devices(self) -> list[Any]:
        from recurra.tf1 import graph_def

        return graph_def.local_devices()

    def close(self) -> None:
        """Free the session; queues that threads wait on are cancelled."""
        self._closed = True
        for resource in list(self._resources.values()):
            cancel = getattr(resource, "cancel", None)
            if callable(cancel):
                cancel()

    def as_default(self) -> Any:
        return _default(self)

    # -- running -----------------------------------------------------------------------------------------------------
    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Compute `fetches` (a tensor, operation, name, or nest of them) with the values in `feed_dict`."""
        self._check_open()
        if not self._graph._op_list:
            raise RuntimeError("The Session graph is empty.  Add operations to the graph before calling run().")
        mapper = self._mapper_for(fetches)
        keys, values = self._feeds(feed_dict) if feed_dict else ((), ())
        made, places = self._plan_for(mapper, keys)
        limit = deadline.of_run(options, self._config) if options is not None or self._config is not None else 0
        if limit:
            with deadline.within(limit):
                results = self._call(made, values)
        else:
            results = self._call(made, values)
        return mapper.build(
            [
                None if place is None else to_numpy(results[place]) if place >= 0 else values[-place - 1]
                for place in places
            ]
        )

    def _call(self, made: plan.Plan, values: Any) -> tuple[Any, ...]:
        before, threads = torch.is_grad_enabled(), _threads()
        alone = threads > 1 and made.work.small(values)
        _set_grad(False)
        try:
            if alone:
                _set_threads(1)
            return made.call(*values)
        except Exception as error:
            translated = plan.translate(error)
            if translated is error:
                raise
            raise translated from error
        finally:
            _set_grad(before)
            if alone:
                _set_threads(threads)
            self.run_count += 1

    def _mapper_for(self, fetches: Any) -> FetchMapper:
        key = structure(fetches)
        if key is None:
            return FetchMapper(self._graph, fetches)
        found = self._mappers.get(key)
        if found is None:
            found = self._mappers[key] = (fetches, FetchMapper(self._graph, fetches))
        return found[1]

    def _plan_for(self, mapper: FetchMapper, keys: tuple[Tensor, ...]) -> tuple[plan.Plan, list[Any]]:
        key = (mapper.key, tuple(map(id, keys)), self._graph._version)
        found = self._plans.get(key)
        if found is None:
            with self._lock:
                found = self._plans[key] = self._make_plan(mapper.elements, keys)
        return found

    def _make_plan(self, elements: list[Any], keys: tuple[Tensor, ...]) -> tuple[plan.Plan, list[Any]]:
        tensors = list(dict.fromkeys(e for e in elements if isinstance(e, Tensor)))
        ops = [e for e in elements if isinstance(e, Operation)]
        place = {tensor: i for i, tensor in enumerate(tensors)}
        made = plan.compile_function(self, keys, tensors, ops)
        made.keep = (made.keep, elements)
        return made, [place[e] if isinstance(e, Tensor) else None for e in elements]

    # -- feeding -----------------------------------------------------------------------------------------------------
    def _feeds(self, feed_dict: Any) -> tuple[tuple[Tensor, ...], list[Any]]:
        keys: list[Tensor] = []
        values: list[Any] = []
        if not hasattr(feed_dict, "items"):
            raise TypeError(
                f"The feed_dict argument must be a dictionary of tensors to values, got {type(feed_dict).__name__}"
            )
        known = self._feed_keys
        for key, value in feed_dict.items():
            feed = known.get(key)
            parts = flat_feed(key, value) if feed is None else ((key, value),)
            for part, given in parts:
                feed = known.get(part)
                if feed is None:
                    feed = Feed(self._graph, part)
                    if isinstance(part, Tensor):
                        known[part] = feed
                keys.append(feed.tensor)
                values.append(feed.value(given))
        return tuple(keys), values

    def make_callable(self, fetches: Any, feed_list: Any = None, accept_options: bool = False) -> Callable[..., Any]:
        """A function of the values of `feed_list` that runs `fetches`."""
        keys = list(feed_list or [])
        if feed_list is not None and not isinstance(feed_list, list | tuple):
            raise TypeError("`feed_list` must be a list or tuple.")

        def call(*values: Any, **_: Any) -> Any:
            if len(values) != len(keys):
                raise ValueError(f"Unexpected number of positional arguments: expected {len(keys)}, got {len(values)}")
            return self.run(fetches, dict(zip(keys, values, strict=True)))

        return call

    def partial_run_setup(self, fetches: Any, feeds: Any = None) -> str:
        """A handle for `partial_run`: all that it will fetch, and all that it will be fed."""
        self._check_open()
        tensors = [Feed(self._graph, key).tensor for key in feeds or ()]
        started = PartialRun(self, FetchMapper(self._graph, fetches).elements, tensors)
        self._partial_runs[started.handle] = started
        return started.handle

    def partial_run(self, handle: str, fetches: Any, feed_dict: Any = None) -> Any:
        """Go on with a run: some of its fetches, from what was fed before and is fed now."""
        self._check_open()
        under_way = self._partial_runs.get(handle)
        if under_way is None:
            raise errors.invalid_argument(f"Must run 'setup' before performing partial runs: {handle}")
        mapper = FetchMapper(self._graph, fetches)
        keys, values = self._feeds(feed_dict) if feed_dict else ((), ())
        found = under_way.run(mapper.elements, dict(zip(keys, values, strict=True)))
        if under_way.finished:
            del self._partial_runs[handle]
        return mapper.build([to_numpy(found[element]) for element in mapper.elements])

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Attempted to use a closed Session.")


@contextmanager
def _default(session: BaseSession) -> Iterator[BaseSession]:
    _local.stack.append(session)
    try:
        yield session
    finally:
        if session in _local.stack:  # an InteractiveSession leaves when it is closed
            _local.stack.remove(session)


@tf_export("Session")
class Session(BaseSession):
    """`with tf.Session(graph=…) as sess`: the default session (and graph) inside."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None):
        super().__init__(target, graph, config)
        self._stack: list[Any] = []

    def __enter__(self) -> Session:
        graph = self._graph.as_default()
        graph.__enter__()
        session = self.as_default()
        session.__enter__()
        self._stack.append((session, graph))
        return self

    def __exit__(self, *exc: Any) -> None:
        session, graph = self._stack.pop()
        if exc and exc[0] is errors.OpError:
            pass
        session.__exit__(None, None, None)
        graph.__exit__(None, None, None)
        self.close()

    @staticmethod
    def reset(target: str, containers: Any = None, config: Any = None) -> None:
        """Nothing is shared between sessions here."""


@tf_export("InteractiveSession")
class InteractiveSession(BaseSession):
    """A session that is the default from its construction on."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None):
        super().__init__(target, graph, config)
        self._default_session = self.as_default()
        self._default_session.__enter__()
        self._default_graph = None
        if graph is not None:
            self._default_graph = graph.as_default()
            self._default_graph.__enter__()

    def close(self) -> None:
        super().close()
        if self._default_session is not None:
            if self in _local.stack:
                _local.stack.remove(self)
            self._default_session = None
        if self._default_graph is not None:
            self._default_graph.__exit__(None, None, None)
            self._default_graph = None
