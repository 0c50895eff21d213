"""tf.test: TensorFlow's TestCase, its decorators for both modes (graph mode alone here), numeric gradients."""

from recurra.tf1.testing import case, decorators, gradient_checker

__all__ = ["case", "decorators", "gradient_checker"]
