"""tf.python_io, tf.parse_*_example, readers of files."""

from recurra.tf1.io import parsing, readers, records

__all__ = ["parsing", "readers", "records"]
