"""What the ops compute: functions over torch tensors and NumPy arrays that know no graph.

Channels come last unless a function says otherwise, as TensorFlow has them.
"""
