"""Where programs get their data: tutorials' readers, keras.datasets, preprocessing, tf.data."""

from recurra.tf1.data import keras_datasets, mnist, preprocessing, ptb_reader, vocabulary

__all__ = ["keras_datasets", "mnist", "preprocessing", "ptb_reader", "vocabulary"]
