"""tf.estimator.export: an estimator's prediction graph as a SavedModel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from recurra.tf1.estimator.estimator import Estimator
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.learn import ModeKeys

tf = space("")


class ServingInputReceiver(NamedTuple):
    """The features that a served model gets, and the tensors that a caller feeds."""

    features: Any
    receiver_tensors: Any
    receiver_tensors_alternatives: Any = None


export(ServingInputReceiver, "estimator.export.ServingInputReceiver")


class PredictOutput(NamedTuple):
    """Named outputs of a served model."""

    outputs: Any


export(PredictOutput, "estimator.export.PredictOutput")


@tf_export("estimator.export.build_raw_serving_input_receiver_fn")
def build_raw_serving_input_receiver_fn(
    features: dict[str, Any], default_batch_size: int | None = None
) -> Callable[[], Any]:
    """A receiver function of placeholders like the given tensors."""

    def receiver() -> ServingInputReceiver:
        places = {
            name: tf.placeholder(t.dtype, [default_batch_size, *t.get_shape().as_list()[1:]], name)
            for name, t in features.items()
        }
        return ServingInputReceiver(places, places)

    return receiver


def export_saved_model(
    self: Estimator,
    export_dir_base: str,
    serving_input_receiver_fn: Callable[[], Any],
    assets_extra: Any = None,
    as_text: bool = False,
    checkpoint_path: str | None = None,
    **unused: Any,
) -> bytes:
    """Write the prediction graph with the newest checkpoint below `export_dir_base`; returns the folder."""
    path = checkpoint_path or self._needed_checkpoint()
    folder = os.path.join(export_dir_base, str(int(time.time())))
    while os.path.exists(folder):
        folder = f"{folder}0"
    with tf.Graph().as_default():
        tf.train.create_global_step()
        receiver = serving_input_receiver_fn()
        spec = self._call_model_fn(receiver.features, None, ModeKeys.PREDICT)
        outputs = spec.predictions if isinstance(spec.predictions, dict) else {"output": spec.predictions}
        inputs = receiver.receiver_tensors
        inputs = inputs if isinstance(inputs, dict) else {"input": inputs}
        with tf.Session() as session:
            (spec.scaffold.saver or tf.train.Saver()).restore(session, path)
            session.run([tf.local_variables_initializer(), tf.tables_initializer()])
            tf.saved_model.simple_save(session, folder, inputs, outputs, legacy_init_op=tf.tables_initializer())
    return folder.encode()


Estimator.export_saved_model = export_saved_model  # type: ignore[attr-defined]
Estimator.export_savedmodel = export_saved_model  # type: ignore[attr-defined]
