"""tensorflow.python.framework.test_util's decorators: graph mode is the only mode here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import Any

from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")
_HOME = "python.framework.test_util"


def _as_is(func: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A decorator, with or without arguments, that changes nothing."""
    if func is None or not callable(func):
        return lambda f: f
    return func


for _name in [
    "run_v1_only",
    "deprecated_graph_mode_only",
    "run_deprecated_v1",
    "disable_xla",
    "disable_all_xla",
    "xla_allow_fallback",
    "with_forward_compatibility_horizons",
    "enable_output_all_intermediates",
    "with_eager_op_as_function",
    "enable_c_shapes",
    "with_c_api",
    "with_c_shapes",
    "assert_no_new_tensors",
    "assert_no_garbage_created",
    "assert_no_new_pyobjects_executing_eagerly",
    "enable_all_xla",
    "run_all_without_tensor_float_32",
    "enable_tf_xla_constant_folding",
    "disable_mlir_bridge",
    "disable_tfrt",
]:
    export(_as_is, f"{_HOME}.{_name}")


@tf_export(
    f"{_HOME}.run_v1_only",
    f"{_HOME}.disable_xla",
    f"{_HOME}.disable_all_xla",
    f"{_HOME}.with_forward_compatibility_horizons",
)
def with_reason(*reasons: Any, **kwargs: Any) -> Any:
    """A decorator that is always given arguments (a reason) and changes nothing."""
    if len(reasons) == 1 and (inspect.isfunction(reasons[0]) or inspect.isclass(reasons[0])):
        return reasons[0]
    return lambda f: f


@tf_export(
    f"{_HOME}.run_deprecated_v1",
    f"{_HOME}.deprecated_graph_mode_only",
    f"{_HOME}.run_all_in_deprecated_graph_mode_only",
)
def run_deprecated_v1(func: Any = None) -> Any:
    """Runs as it is, in the graph that setUp began (tests keep tensors that setUp made)."""
    if func is None:
        return run_deprecated_v1
    if inspect.isclass(func):
        return _each_method(func, run_deprecated_v1)

    @functools.wraps(func)
    def decorated(self: Any, *args: Any, **kwargs: Any) -> Any:
        return func(self, *args, **kwargs)

    return decorated


def _each_method(cls: Any, decorator: Callable[..., Any]) -> Any:
    for name, value in list(vars(cls).items()):
        if callable(value) and name.startswith("test") and name != "test_session":
            setattr(cls, name, decorator(value))
    return cls


@tf_export(f"{_HOME}.run_in_graph_and_eager_modes")
def run_in_graph_and_eager_modes(
    func: Any = None,
    config: Any = None,
    use_gpu: bool = True,
    reset_test: bool = True,
    assert_no_eager_garbage: bool = False,
) -> Any:
    """Runs the test in graph mode, inside a session."""

    def decorator(f: Any) -> Any:
        if inspect.isclass(f):
            raise ValueError("`run_in_graph_and_eager_modes` only supports test methods.")

        @functools.wraps(f)
        def decorated(self: Any, *args: Any, **kwargs: Any) -> None:
            with tf.Graph().as_default() as graph:
                graph.seed = 87654321
                with self.test_session(config=config):
                    f(self, *args, **kwargs)

        return decorated

    return decorator if func is None else decorator(func)


@tf_export(f"{_HOME}.run_all_in_graph_and_eager_modes")
def run_all_in_graph_and_eager_modes(cls: Any) -> Any:
    """run_in_graph_and_eager_modes for every test of a class."""
    return _each_method(cls, run_in_graph_and_eager_modes)


@tf_export(f"{_HOME}.for_all_test_methods")
def for_all_test_methods(decorator: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A class decorator that applies decorator(*args) to every test."""
    return lambda cls: _each_method(cls, decorator(*args, **kwargs))


def _skipping(reason: str) -> Any:
    def decorator(func: Any = None) -> Any:
        if func is None:
            return decorator
        if inspect.isclass(func):
            return _each_method(func, decorator)

        @functools.wraps(func)
        def decorated(self: Any, *args: Any, **kwargs: Any) -> None:
            self.skipTest(reason)

        return decorated

    return decorator


export(_skipping("Test is only compatible with v2"), f"{_HOME}.run_v2_only")
export(_skipping("Test requires GPU"), f"{_HOME}.run_gpu_only", f"{_HOME}.run_cuda_only")


@tf_export(f"{_HOME}.with_control_flow_v2")
def with_control_flow_v2(cls: Any) -> Any:
    """Adds each test a second time as `…WithControlFlowV2`: the one control flow here must do for both."""
    for name, value in list(vars(cls).items()):
        if callable(value) and name.startswith("test") and not hasattr(value, "_disable_control_flow_v2"):
            setattr(cls, f"{name}WithControlFlowV2", value)
    return cls


@tf_export(f"{_HOME}.disable_control_flow_v2")
def disable_control_flow_v2(unused_msg: str = "") -> Any:
    """Leaves a test out of with_control_flow_v2."""

    def decorator(func: Any) -> Any:
        func._disable_control_flow_v2 = True
        return func

    return decorator


@tf_export(f"{_HOME}.enable_control_flow_v2", f"{_HOME}.build_as_function_and_v1_graph")
def enable_control_flow_v2(func: Any) -> Any:
    """There is one control flow here."""
    return func


@tf_export(f"{_HOME}.force_cpu", f"{_HOME}.use_gpu", f"{_HOME}.force_gpu", f"{_HOME}.device")
def device(*args: Any, **kwargs: Any) -> Any:
    """A with block that changes nothing: there is one device."""
    return nullcontext()


@tf_export(f"{_HOME}.skip_if")
def skip_if(condition: Any) -> Any:
    """Skips the test when the condition holds."""

    def decorator(func: Any) -> Any:
        @functools.wraps(func)
        def decorated(*args: Any, **kwargs: Any) -> None:
            if condition() if callable(condition) else condition:
                return
            func(*args, **kwargs)

        return decorated

    return decorator


@tf_export(f"{_HOME}.skip_if_error")
@contextmanager
def skip_if_error(test_obj: Any, error_type: Any, messages: Any = None) -> Any:
    """Skips the test on an error."""
    try:
        yield
    except error_type as error:
        test_obj.skipTest(f"Skipping error: {error}")


for _name in (
    "IsGoogleCudaEnabled",
    "IsBuiltWithROCm",
    "IsMklEnabled",
    "GpuSupportsHalfMatMulAndConv",
    "InstallStackTraceHandler",
):
    export(lambda *args, **kwargs: False, f"{_HOME}.{_name}")
export(lambda: "", f"{_HOME}.gpu_device_name")
export(lambda *args, **kwargs: False, f"{_HOME}.is_gpu_available", f"{_HOME}.is_xla_enabled")
export(lambda: False, "python.tf2.enabled", "python.framework.test_util.is_v2")


@tf_export(f"{_HOME}.NHWCToNCHW")
def nhwc_to_nchw(input_tensor: Any) -> Any:
    """Moves the channels to the second place (tensors, arrays and shapes)."""
    if isinstance(input_tensor, tf.Tensor):
        ndims = input_tensor.shape.ndims
        return tf.transpose(input_tensor, {4: [0, 3, 1, 2], 5: [0, 4, 1, 2, 3]}[ndims])
    axes = {4: [0, 3, 1, 2], 5: [0, 4, 1, 2, 3]}[len(input_tensor)]
    return [input_tensor[a] for a in axes]


@tf_export(f"{_HOME}.NCHWToNHWC")
def nchw_to_nhwc(input_tensor: Any) -> Any:
    """Moves the channels to the last place."""
    axes = {4: [0, 2, 3, 1], 5: [0, 2, 3, 4, 1]}
    if isinstance(input_tensor, tf.Tensor):
        return tf.transpose(input_tensor, axes[input_tensor.shape.ndims])
    return [input_tensor[a] for a in axes[len(input_tensor)]]
