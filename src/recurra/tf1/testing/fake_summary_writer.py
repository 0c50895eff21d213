"""tf.contrib.testing.FakeSummaryWriter: a summary writer that keeps in memory what hooks and loops give it."""

from __future__ import annotations

import glob
import os
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.protos import message
from recurra.tf1.summary import writer

__all__ = ["FakeSummaryWriter"]


_HOME = "contrib.testing.python.framework"


@tf_export("contrib.testing.FakeSummaryWriter", f"{_HOME}.fake_summary_writer.FakeSummaryWriter")
class FakeSummaryWriter:
    """`FakeSummaryWriter.install()` lets tf.summary.FileWriterCache hand these out until `uninstall()`."""

    _replaced: Any = None

    @classmethod
    def install(cls) -> None:
        if cls._replaced is not None:
            raise ValueError("FakeSummaryWriter already installed.")
        cls._replaced = writer.FileWriter
        writer.FileWriter = FakeSummaryWriter  # type: ignore[misc, assignment]

    @classmethod
    def uninstall(cls) -> None:
        if cls._replaced is None:
            raise ValueError("FakeSummaryWriter not installed.")
        writer.FileWriter, cls._replaced = cls._replaced, None  # type: ignore[misc]

    def __init__(self, logdir: str, graph: Any = None) -> None:
        self._logdir, self._graph = logdir, graph
        self.summaries: dict[Any, list[Any]] = {}
        self._added_graphs: list[Any] = []
        self._added_meta_graphs: list[Any] = []
        self._added_session_logs: list[Any] = []
        self._added_run_metadata: dict[str, Any] = {}

    def add_summary(self, summ: Any, current_global_step: Any) -> None:
        """Keep a Summary (or its bytes) under its step."""
        if isinstance(summ, bytes):
            summ = message("summary_pb2", "Summary").FromString(summ)
        self.summaries.setdefault(current_global_step, []).append(summ)

    def add_graph(self, graph: Any, global_step: Any = None, graph_def: Any = None) -> None:
        if global_step is not None and global_step < 0:
            raise ValueError(f"Invalid global_step {global_step}.")
        if graph_def is not None:
            raise ValueError(f"Unexpected graph_def {graph_def}.")
        self._added_graphs.append(graph)

    def add_meta_graph(self, meta_graph_def: Any, global_step: Any = None) -> None:
        self._added_meta_graphs.append(meta_graph_def)

    def add_session_log(self, session_log: Any, global_step: Any = None) -> None:
        self._added_session_logs.append(session_log)

    def add_run_metadata(self, run_metadata: Any, tag: str, global_step: Any = None) -> None:
        self._added_run_metadata[tag] = run_metadata

    def flush(self) -> None:
        pass

    reopen = close = flush

    def assert_summaries(
        self,
        test_case: Any,
        expected_logdir: str | None = None,
        expected_graph: Any = None,
        expected_summaries: Any = None,
        expected_added_graphs: Any = None,
        expected_added_meta_graphs: Any = None,
        expected_session_logs: Any = None,
    ) -> None:
        """Fail `test_case` unless all that is expected was added; `expected_summaries` is step → tag → value."""
        if expected_logdir is not None:
            test_case.assertEqual(expected_logdir, self._logdir)
        if expected_graph is not None:
            test_case.assertIs(expected_graph, self._graph)
        for step, expected in (expected_summaries or {}).items():
            test_case.assertIn(step, self.summaries)
            values = [value for summary in self.summaries[step] for value in summary.value]
            # how often a supervisor's thread writes its speed is a matter of time
            found = {v.tag: v.simple_value for v in values if v.tag != "global_step/sec"}
            test_case.assertEqual(expected, found)
        if expected_added_graphs is not None:
            test_case.assertEqual(expected_added_graphs, self._added_graphs)
        if expected_added_meta_graphs is not None:
            texts = [[str(m) for m in side] for side in (expected_added_meta_graphs, self._added_meta_graphs)]
            test_case.assertEqual(*texts)
        if expected_session_logs is not None:
            test_case.assertEqual(expected_session_logs, self._added_session_logs)


@tf_export("contrib.testing.latest_file", f"{_HOME}.util_test.latest_file")
def latest_file(base_dir: str) -> str:
    """The youngest of a folder's files."""
    files = glob.glob(os.path.join(base_dir, "*"))
    return max(files, key=os.path.getctime) if files else ""


@tf_export("contrib.testing.latest_events", f"{_HOME}.util_test.latest_events")
def latest_events(base_dir: str) -> list[Any]:
    """The events of a folder's youngest file."""
    file = latest_file(base_dir)
    if not file:
        return []
    return [message("event_pb2", "Event").FromString(record) for record in writer.read_records(file)]


@tf_export("contrib.testing.latest_summaries", f"{_HOME}.util_test.latest_summaries")
def latest_summaries(base_dir: str) -> list[Any]:
    """Those of the latest events that hold summaries."""
    return [event for event in latest_events(base_dir) if event.HasField("summary")]


@tf_export("contrib.testing.simple_values_from_events")
def simple_values_from_events(events: Any, tags: Any) -> dict[str, float]:
    """tag → the last simple value among the events' summaries."""
    return {v.tag: v.simple_value for e in events if e.summary.value for v in e.summary.value if v.tag in tags}
