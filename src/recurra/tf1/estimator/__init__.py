"""tf.estimator with the program's own model function, and tf.contrib.learn.Estimator before it.

Start at `estimator.py`: train, evaluate and predict, each in a graph of its own that `model_fn` builds; `specs.py` is
what is handed over, `arrays.py` arrays as input, `canned.py` the ready models, `learn.py` the older tf.contrib.learn,
`experiment.py` its Experiment.
"""

from recurra.tf1.estimator import (
    alternate,
    arrays,
    canned,
    early_stopping,
    estimator,
    experiment,
    learn,
    learn_canned,
    monitors,
    serving,
    specs,
)

__all__ = [
    "alternate",
    "arrays",
    "canned",
    "early_stopping",
    "estimator",
    "experiment",
    "learn",
    "learn_canned",
    "monitors",
    "serving",
    "specs",
]
