"""tf.contrib.rnn's cells (to come)."""
