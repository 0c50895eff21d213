"""tf.nn.rnn_cell, tf.contrib.rnn and the loops over cells.

Read `base.py` (what a cell is), `core_cells.py` (their equations are `recurra.cells`' functions, run by the CellStep operation of
`steps.py`), then `dynamic.py` (the loop).
"""  # noqa: E501

from recurra.tf1.rnn import base as base
from recurra.tf1.rnn import checkpoint_convert as checkpoint_convert
from recurra.tf1.rnn import contrib_cells as contrib_cells
from recurra.tf1.rnn import contrib_units as contrib_units
from recurra.tf1.rnn import contrib_wide as contrib_wide
from recurra.tf1.rnn import contrib_wrappers as contrib_wrappers
from recurra.tf1.rnn import core_cells as core_cells
from recurra.tf1.rnn import cudnn as cudnn
from recurra.tf1.rnn import dynamic as dynamic
from recurra.tf1.rnn import functional as functional
from recurra.tf1.rnn import fused as fused
from recurra.tf1.rnn import grid_rnn as grid_rnn
from recurra.tf1.rnn import keras_cells as keras_cells
from recurra.tf1.rnn import ntm as ntm
from recurra.tf1.rnn import raw as raw
from recurra.tf1.rnn import static as static
from recurra.tf1.rnn import wrappers as wrappers
