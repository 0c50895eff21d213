"""tf.distributions and tf.contrib.distributions: `base.py`, then the families, `divergence.py` and `helpers.py`."""

from recurra.tf1.distributions import bijectors as bijectors
from recurra.tf1.distributions import continuous as continuous
from recurra.tf1.distributions import discrete as discrete
from recurra.tf1.distributions import divergence as divergence
from recurra.tf1.distributions import gammas as gammas
from recurra.tf1.distributions import helpers as helpers
from recurra.tf1.distributions import multivariate as multivariate
from recurra.tf1.distributions import simplex as simplex
from recurra.tf1.distributions import wrapped as wrapped
