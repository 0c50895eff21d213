"""tf.layers: the base class of layers, and the layers."""

from recurra.tf1.layers import base as base
from recurra.tf1.layers import convolution as convolution
from recurra.tf1.layers import core as core
from recurra.tf1.layers import normalization as normalization
from recurra.tf1.layers import pooling as pooling
from recurra.tf1.layers import utils as utils
