"""tf.summary: operations that make summaries, and writers of event files that TensorBoard reads."""

from recurra.tf1.summary import ops, writer

__all__ = ["ops", "writer"]
