"""tf.keras: layers, models and what trains them, on graphs and sessions.

Read `layer.py`, then `model.py` and `training.py`. No file here is called like one of tf.keras' modules, which the names are served from.
"""  # noqa: E501

from recurra.tf1.keras import activation_functions as activation_functions
from recurra.tf1.keras import backend_names as backend_names
from recurra.tf1.keras import convolutional_rnn as convolutional_rnn
from recurra.tf1.keras import core_layers as core_layers
from recurra.tf1.keras import hooks as hooks
from recurra.tf1.keras import loss_functions as loss_functions
from recurra.tf1.keras import metric_counts as metric_counts
from recurra.tf1.keras import metric_objects as metric_objects
from recurra.tf1.keras import model as model
from recurra.tf1.keras import recurrent as recurrent
from recurra.tf1.keras import recurrent_v2 as recurrent_v2
from recurra.tf1.keras import saving as saving
from recurra.tf1.keras import scikit as scikit
from recurra.tf1.keras import state as state
from recurra.tf1.keras import tools as tools
from recurra.tf1.keras import update_rules as update_rules
from recurra.tf1.keras import wide_layers as wide_layers
