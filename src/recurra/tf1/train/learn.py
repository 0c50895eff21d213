"""What programs of the era used of tf.contrib.learn and tf.estimator beside estimators: run_n, mode keys."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.coordinator import Coordinator
from recurra.tf1.train.queue_runner import start_queue_runners

tf = space("")


@tf_export("contrib.learn.run_n", "contrib.learn.graph_actions.run_n")
def run_n(
    output_dict: dict[str, Any], feed_dict: Any = None, restore_checkpoint_path: str | None = None, n: int = 1
) -> list[dict[str, Any]]:
    """`output_dict`'s values, `n` times, in a session whose variables are initialised and whose queues run."""
    return run_feeds(output_dict, [feed_dict] * n, restore_checkpoint_path)


@tf_export("contrib.learn.run_feeds", "contrib.learn.graph_actions.run_feeds")
def run_feeds(
    output_dict: dict[str, Any], feed_dicts: Any, restore_checkpoint_path: str | None = None
) -> list[dict[str, Any]]:
    """`output_dict`'s values for each of the feeds."""
    if not output_dict:
        raise ValueError(f"output_dict is invalid: {output_dict}.")
    graph = next(iter(output_dict.values())).graph
    with graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        if restore_checkpoint_path:
            tf.train.Saver().restore(session, restore_checkpoint_path)
        session.run([tf.local_variables_initializer(), tf.tables_initializer()])
        coord = Coordinator()
        threads = start_queue_runners(session, coord=coord)
        try:
            return [session.run(output_dict, feed_dict=feeds) for feeds in feed_dicts]
        finally:
            coord.request_stop()
            coord.join(threads, stop_grace_period_secs=5, ignore_live_threads=True)


class ModeKeys:
    """What a model function is called for."""

    TRAIN, EVAL, PREDICT, INFER = "train", "eval", "infer", "infer"

    @classmethod
    def validate(cls, key: str) -> None:
        """ValueError where `key` is no mode."""
        if key not in (cls.TRAIN, cls.EVAL, cls.INFER):
            raise ValueError(f"Invalid mode {key}.")


export(ModeKeys, "estimator.ModeKeys", "contrib.learn.ModeKeys", "python.estimator.model_fn.ModeKeys")
