"""tf.contrib.layers' functions: layers with `weights` and `biases`, normalisers, embeddings, optimize_loss."""

from recurra.tf1.contrib.layers import dense as dense
from recurra.tf1.contrib.layers import normalizers as normalizers
from recurra.tf1.contrib.layers import optimization as optimization
from recurra.tf1.contrib.layers import small as small
from recurra.tf1.contrib.layers import windows as windows
