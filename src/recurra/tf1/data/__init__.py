"""Where programs get their data: tutorials' readers, keras.datasets, preprocessing, tf.data."""

from recurra.tf1.data import (
    dataset,
    iterators,
    keras_datasets,
    mixing,
    mnist,
    preprocessing,
    ptb_reader,
    transforms,
    vocabulary,
)

__all__ = [
    "dataset",
    "iterators",
    "keras_datasets",
    "mixing",
    "mnist",
    "preprocessing",
    "ptb_reader",
    "transforms",
    "vocabulary",
]
