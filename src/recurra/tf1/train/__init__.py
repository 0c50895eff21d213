"""tf.train: optimizers, schedules, moving averages, checkpoints, queues and the loops around them."""

from recurra.tf1.train import (
    contrib_opt,
    coordinator,
    hooks,
    inputs,
    monitored_session,
    moving_averages,
    optimizers,
    queue_runner,
    queues,
    saver,
    schedules,
    session_manager,
    slots,
    steps,
    supervisor,
    updates,
)

__all__ = [
    "contrib_opt",
    "coordinator",
    "hooks",
    "inputs",
    "monitored_session",
    "moving_averages",
    "optimizers",
    "queue_runner",
    "queues",
    "saver",
    "schedules",
    "session_manager",
    "slots",
    "steps",
    "supervisor",
    "updates",
]
