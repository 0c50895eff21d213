"""tf.train: optimizers, schedules, moving averages, checkpoints, queues and the loops around them."""

from recurra.tf1.train import moving_averages, optimizers, saver, schedules, slots, steps, updates

__all__ = ["moving_averages", "optimizers", "saver", "schedules", "slots", "steps", "updates"]
