"""tf.contrib.tensorboard.plugins.projector: which variables TensorBoard shows as points, with which labels."""

from __future__ import annotations

import os
from typing import Any

from recurra._files import write_text
from recurra.tf1.names import export, tf_export

_HOME = "contrib.tensorboard.plugins.projector"


def _message(name: str) -> Any:
    """A message class of the projector's configuration, imported when one is made."""

    def make(*args: Any, **kwargs: Any) -> Any:
        from tensorboard.plugins.projector import projector_config_pb2

        return getattr(projector_config_pb2, name)(*args, **kwargs)

    make.__name__ = name
    return make


for _name in ("ProjectorConfig", "EmbeddingInfo", "SpriteMetadata"):
    export(_message(_name), f"{_HOME}.{_name}", f"{_HOME}.projector_config_pb2.{_name}")


@tf_export(f"{_HOME}.visualize_embeddings")
def visualize_embeddings(summary_writer: Any, config: Any) -> None:
    """Write the configuration beside the writer's event files."""
    from google.protobuf import text_format

    logdir = summary_writer.get_logdir()
    if logdir is None:
        raise ValueError("Summary writer must have a logdir")
    write_text(os.path.join(logdir, "projector_config.pbtxt"), text_format.MessageToString(config))
