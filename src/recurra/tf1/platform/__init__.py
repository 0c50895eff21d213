"""What TensorFlow offered beside computing: flags and app.run, files, logging, texts, devices, versions."""

from recurra.tf1 import protos
from recurra.tf1.platform import app, devices, flags, gfile, profiling, texts, tf_logging

__all__ = ["app", "devices", "flags", "gfile", "profiling", "protos", "texts", "tf_logging"]
