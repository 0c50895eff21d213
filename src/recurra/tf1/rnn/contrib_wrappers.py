"""tf.contrib.rnn's wrappers (to come)."""
