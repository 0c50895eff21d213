"""tf.summary: operations that make summaries, and writers of event files that TensorBoard reads."""

from recurra.tf1.summary import ops, projector, recorded, writer

__all__ = ["ops", "projector", "recorded", "writer"]
