"""tf.profiler and tf.contrib.tfprof as far as they count parameters, and timelines of collected steps."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")
_EVERYTHING: dict[str, Any] = {
    "max_depth": 10000, "min_bytes": 0, "min_micros": 0, "min_params": 0, "min_float_ops": 0, "min_occurrence": 0,
    "order_by": "name", "account_type_regexes": [".*"], "start_name_regexes": [".*"], "trim_name_regexes": [],
    "show_name_regexes": [".*"], "hide_name_regexes": [], "account_displayed_op_only": False, "select": ["micros"],
    "step": -1, "output": "stdout",
}  # fmt: skip
TRAINABLE_VARS_PARAMS_STAT_OPTIONS = {
    **_EVERYTHING, "account_type_regexes": ["_trainable_variables"], "account_displayed_op_only": True,
    "select": ["params"],
}  # fmt: skip
FLOAT_OPS_OPTIONS = {**_EVERYTHING, "min_float_ops": 1, "order_by": "float_ops", "select": ["float_ops"]}
PRINT_ALL_TIMING_MEMORY = {**_EVERYTHING, "min_bytes": 1, "min_micros": 1, "select": ["micros", "bytes"]}

for _home in ("contrib.tfprof.model_analyzer", "python.profiler.model_analyzer"):
    export(TRAINABLE_VARS_PARAMS_STAT_OPTIONS, f"{_home}.TRAINABLE_VARS_PARAMS_STAT_OPTIONS")
    export(FLOAT_OPS_OPTIONS, f"{_home}.FLOAT_OPS_OPTIONS")
    export(PRINT_ALL_TIMING_MEMORY, f"{_home}.PRINT_ALL_TIMING_MEMORY")


@tf_export("profiler.ProfileOptionBuilder", "python.profiler.option_builder.ProfileOptionBuilder")
class ProfileOptionBuilder:
    """Options of tf.profiler.profile, ready made or put together by its methods."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        self._options = dict(_EVERYTHING if options is None else options)

    @staticmethod
    def trainable_variables_parameter() -> dict[str, Any]:
        return dict(TRAINABLE_VARS_PARAMS_STAT_OPTIONS)

    @staticmethod
    def float_operation() -> dict[str, Any]:
        return dict(FLOAT_OPS_OPTIONS)

    @staticmethod
    def time_and_memory(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return dict(PRINT_ALL_TIMING_MEMORY)

    def with_file_output(self, outfile: str) -> ProfileOptionBuilder:
        self._options["output"] = f"file:outfile={outfile}"
        return self

    def with_stdout_output(self) -> ProfileOptionBuilder:
        self._options["output"] = "stdout"
        return self

    def with_empty_output(self) -> ProfileOptionBuilder:
        self._options["output"] = "none"
        return self

    def select(self, attributes: list[str]) -> ProfileOptionBuilder:
        self._options["select"] = list(attributes)
        return self

    def account_displayed_op_only(self, is_true: bool) -> ProfileOptionBuilder:
        self._options["account_displayed_op_only"] = is_true
        return self

    def build(self) -> dict[str, Any]:
        return dict(self._options)


@dataclass
class GraphNode:
    """A scope or variable with its own parameters and those below it."""

    name: str
    parameters: int = 0
    shape: list[int] | None = None
    children: list[GraphNode] = field(default_factory=list)

    @property
    def total_parameters(self) -> int:
        return self.parameters + sum(child.total_parameters for child in self.children)

    def lines(self, depth: int = 0) -> list[str]:
        """The node and what is below it, as TensorFlow prints them."""
        total = self.total_parameters
        what = (
            f"--/{total} params" if self.shape is None else f"{'x'.join(map(str, self.shape))}, {total}/{total} params"
        )
        below = sorted(self.children, key=lambda child: child.name)
        return [f"{'  ' * depth}{self.name} ({what})", *[text for c in below for text in c.lines(depth + 1)]]


@tf_export("profiler.profile", "python.profiler.model_analyzer.profile")
def profile(
    graph: Any = None, run_meta: Any = None, op_log: Any = None, cmd: str = "scope", options: Any = None
) -> GraphNode:
    """Count the trainable variables' parameters, print them scope by scope, and return the tree (`total_parameters`).

    NotImplementedError for other quantities (operations, times, bytes).
    """
    chosen = options or PRINT_ALL_TIMING_MEMORY
    if list(chosen["select"]) != ["params"] or cmd not in ("scope", "graph"):
        raise NotImplementedError(
            f"tf.profiler.profile with cmd={cmd!r}, select={chosen['select']} is not implemented in recurra: only "
            "parameters of scopes are counted (ProfileOptionBuilder.trainable_variables_parameter())"
        )
    keys = tf.GraphKeys
    trained = "_trainable_variables" in chosen["account_type_regexes"]
    graph = graph or tf.get_default_graph()
    root = GraphNode("_TFProfRoot")
    for variable in graph.get_collection(keys.TRAINABLE_VARIABLES if trained else keys.GLOBAL_VARIABLES):
        _place(root, variable.op.name, [int(d) for d in variable.shape.as_list()])
    _show("\n".join(["node name | # parameters", *root.lines()]), chosen["output"])
    return root


def _place(root: GraphNode, name: str, shape: list[int]) -> None:
    node, parts = root, name.split("/")
    for i in range(1, len(parts) + 1):
        path = "/".join(parts[:i])
        found = next((child for child in node.children if child.name == path), None)
        if found is None:
            found = GraphNode(path)
            node.children.append(found)
        node = found
    node.shape, node.parameters = shape, 1
    for size in shape:
        node.parameters *= size


def _show(report: str, output: str) -> None:
    if output == "stdout":
        print(f"\n==================Model Analysis Report======================\n\nProfile:\n{report}\n\n"
              "======================End of Report==========================")  # fmt: skip
    elif output.startswith("file:outfile="):
        with open(output.removeprefix("file:outfile="), "w") as file:
            file.write(report + "\n")


@tf_export("contrib.tfprof.model_analyzer.print_model_analysis")
def print_model_analysis(
    graph: Any, run_meta: Any = None, op_log: Any = None, tfprof_cmd: str = "scope", tfprof_options: Any = None
) -> GraphNode:
    """tf.profiler.profile under its name of before 1.4."""
    return profile(graph, run_meta, op_log, tfprof_cmd, tfprof_options)


@tf_export("python.client.timeline.Timeline")
class Timeline:
    """The steps of `RunMetadata.step_stats` for chrome://tracing. Runs here fill in none, so theirs is empty."""

    def __init__(self, step_stats: Any, graph: Any = None) -> None:
        self._stats = step_stats

    def generate_chrome_trace_format(self, show_dataflow: bool = True, show_memory: bool = False) -> str:
        """The trace as JSON."""
        events: list[dict[str, Any]] = []
        for number, device in enumerate(self._stats.dev_stats):
            events.append({"name": "process_name", "ph": "M", "pid": number, "args": {"name": device.device}})
            events += [
                {"ph": "X", "cat": "Op", "name": node.node_name, "pid": number, "tid": node.thread_id,
                 "ts": node.all_start_micros, "dur": max(node.op_end_rel_micros, 1), "args": {"name": node.node_name}}
                for node in device.node_stats
            ]  # fmt: skip
        return json.dumps({"traceEvents": events}, indent=4)
