"""tf.contrib.rnn's fused cells (to come)."""
