"""tf.test: TensorFlow's TestCase, its decorators (for both modes: graph mode alone), numeric gradients."""

from recurra.tf1.testing import (
    case,
    combinations,
    datasets,
    decorators,
    fake_summary_writer,
    gradient_checker,
    gradient_checker_v2,
    internals,
    keras_layers,
    keras_modes,
)

__all__ = [
    "case",
    "combinations",
    "datasets",
    "decorators",
    "fake_summary_writer",
    "gradient_checker",
    "gradient_checker_v2",
    "internals",
    "keras_layers",
    "keras_modes",
]
