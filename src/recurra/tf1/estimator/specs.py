"""What estimator and program hand each other: configuration, the model function's answer, train and eval specs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.learn import ModeKeys

tf = space("")
_UNSET = object()


# kept and not used: they say where in a cluster a process stands, or how a device is shared
_OF_CLUSTERS = {
    "train_distribute", "eval_distribute", "experimental_distribute", "device_fn", "protocol", "master", "num_cores",
    "experimental_max_worker_delay_secs", "session_creation_timeout_secs", "log_device_placement", "cluster_spec",
    "gpu_memory_fraction", "evaluation_master", "task_type", "task_id", "is_chief", "num_ps_replicas",
    "num_worker_replicas", "service",
}  # fmt: skip


@tf_export("estimator.RunConfig", "contrib.learn.RunConfig", "python.estimator.run_config.RunConfig")
class RunConfig:
    """Where and how often an estimator saves, summarises and logs. What only clusters need is kept and not used."""

    is_chief, task_type, task_id, master, evaluation_master = True, "worker", 0, "", ""
    num_worker_replicas, num_ps_replicas, service, cluster_spec = 1, 0, None, None
    train_distribute = eval_distribute = device_fn = protocol = None

    def __init__(
        self,
        model_dir: str | None = None,
        tf_random_seed: int | None = None,
        save_summary_steps: int = 100,
        save_checkpoints_steps: Any = _UNSET,
        save_checkpoints_secs: Any = _UNSET,
        session_config: Any = None,
        keep_checkpoint_max: int = 5,
        keep_checkpoint_every_n_hours: float = 10000,
        log_step_count_steps: int | None = 100,
        **cluster: Any,
    ) -> None:
        for name in ("train_distribute", "eval_distribute", "experimental_distribute", "device_fn"):
            if cluster.get(name) is not None:
                raise NotImplementedError(f"tf.estimator.RunConfig with {name} is not implemented in recurra")
        unknown = sorted(set(cluster) - _OF_CLUSTERS)
        if unknown:
            raise TypeError(f"RunConfig.__init__() got an unexpected keyword argument {unknown[0]!r}")
        if save_checkpoints_steps is _UNSET and save_checkpoints_secs is _UNSET:
            save_checkpoints_steps, save_checkpoints_secs = None, 600
        else:
            steps_given = save_checkpoints_steps not in (_UNSET, None)
            if steps_given and save_checkpoints_secs not in (_UNSET, None):
                raise ValueError("`save_checkpoints_steps` and `save_checkpoints_secs` cannot be both set.")
            save_checkpoints_steps = None if save_checkpoints_steps is _UNSET else save_checkpoints_steps
            save_checkpoints_secs = None if save_checkpoints_secs is _UNSET else save_checkpoints_secs
        self.model_dir, self.tf_random_seed = model_dir, tf_random_seed
        self.save_summary_steps, self.session_config = save_summary_steps, session_config
        self.save_checkpoints_steps, self.save_checkpoints_secs = save_checkpoints_steps, save_checkpoints_secs
        self.keep_checkpoint_max, self.log_step_count_steps = keep_checkpoint_max, log_step_count_steps
        self.keep_checkpoint_every_n_hours = keep_checkpoint_every_n_hours
        vars(self).update(cluster)

    def replace(self, **changes: Any) -> RunConfig:
        """A copy with some properties changed."""
        new = copy.copy(self)
        if "save_checkpoints_steps" in changes:
            changes.setdefault("save_checkpoints_secs", None)
        elif "save_checkpoints_secs" in changes:
            changes.setdefault("save_checkpoints_steps", None)
        for name, value in changes.items():
            if not hasattr(self, name):
                raise ValueError(f"Replacing {name} is not supported: RunConfig has no such property.")
            setattr(new, name, value)
        return new


class _Spec(NamedTuple):
    mode: str
    predictions: Any
    loss: Any
    train_op: Any
    eval_metric_ops: dict[str, Any]
    export_outputs: Any
    training_chief_hooks: tuple[Any, ...]
    training_hooks: tuple[Any, ...]
    scaffold: Any
    evaluation_hooks: tuple[Any, ...]
    prediction_hooks: tuple[Any, ...]


@tf_export("estimator.EstimatorSpec", "python.estimator.model_fn.EstimatorSpec")
class EstimatorSpec(_Spec):
    """What `model_fn` answers for a mode: predictions, a loss, an op that trains, metrics, hooks.

    Raises ValueError where the mode needs what is missing (as TensorFlow: "Missing train_op.", "Missing loss.").
    """

    __slots__ = ()

    def __new__(
        cls,
        mode: str,
        predictions: Any = None,
        loss: Any = None,
        train_op: Any = None,
        eval_metric_ops: Any = None,
        export_outputs: Any = None,
        training_chief_hooks: Any = None,
        training_hooks: Any = None,
        scaffold: Any = None,
        evaluation_hooks: Any = None,
        prediction_hooks: Any = None,
    ) -> EstimatorSpec:
        if mode == ModeKeys.TRAIN and train_op is None:
            raise ValueError("Missing train_op.")
        if mode in (ModeKeys.TRAIN, ModeKeys.EVAL):
            if loss is None:
                raise ValueError("Missing loss.")
            loss = _scalar(loss)
        if mode == ModeKeys.PREDICT and predictions is None:
            raise ValueError("Missing predictions.")
        metrics = dict(eval_metric_ops or {})
        for key, value in metrics.items():
            if not isinstance(value, tuple) or len(value) != 2:
                raise TypeError(
                    f"Values of eval_metric_ops must be (metric_value, update_op) tuples, given: {value} for key: {key}"
                )
        return super().__new__(
            cls,
            mode=mode,
            predictions={} if predictions is None else predictions,
            loss=loss,
            train_op=train_op,
            eval_metric_ops=metrics,
            export_outputs=export_outputs,
            training_chief_hooks=tuple(training_chief_hooks or ()),
            training_hooks=tuple(training_hooks or ()),
            scaffold=scaffold or tf.train.Scaffold(),
            evaluation_hooks=tuple(evaluation_hooks or ()),
            prediction_hooks=tuple(prediction_hooks or ()),
        )


def _scalar(loss: Any) -> Any:
    loss = tf.convert_to_tensor(loss)
    shape = loss.get_shape()
    if shape.num_elements() not in (None, 1):
        raise ValueError(f"Loss must be scalar, given: {loss}")
    return loss if shape.ndims == 0 else tf.reshape(loss, [])


class TrainSpec(NamedTuple):
    """What `train_and_evaluate` trains on, and until which step."""

    input_fn: Callable[..., Any]
    max_steps: int | None = None
    hooks: Any = ()
    saving_listeners: Any = ()


class EvalSpec(NamedTuple):
    """What `train_and_evaluate` evaluates on; `steps` None reads the input to its end."""

    input_fn: Callable[..., Any]
    steps: int | None = 100
    name: str | None = None
    hooks: Any = ()
    exporters: Any = ()
    start_delay_secs: float = 120
    throttle_secs: float = 600


export(TrainSpec, "estimator.TrainSpec")
export(EvalSpec, "estimator.EvalSpec")


class WarmStartSettings(NamedTuple):
    """The checkpoint that a new model starts from."""

    ckpt_to_initialize_from: str
    vars_to_warm_start: Any = ".*"
    var_name_to_vocab_info: Any = None
    var_name_to_prev_var_name: Any = None


export(WarmStartSettings, "estimator.WarmStartSettings")
