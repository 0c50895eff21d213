# ruff: noqa  (read by Python 3.7 too)
"""Write opcases_<family>.npz from TensorFlow 1.15: `python make_opcases.py OUT [family …]` (Python 3.7, TensorFlow 1.15).

Per case: the outputs, their dtypes and static shapes, the gradients of a weighted sum of the float outputs with
respect to the float32 inputs, or the class and first line of the error.
"""

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import opcases
import tensorflow as tf
from oprun import run_case


def write(folder, family):
    stored, meta = {}, []
    for number, expression in enumerate(opcases.CASES[family]):
        result = run_case(tf, expression)
        for key, array in result.pop("arrays").items():
            stored["%d/%s" % (number, key)] = array
        result["expression"] = expression
        meta.append(result)
    stored["meta"] = np.array(json.dumps(meta))
    np.savez_compressed(os.path.join(folder, "opcases_%s.npz" % family), **stored)
    print(
        family,
        len(meta),
        "cases,",
        sum("error" in m for m in meta),
        "errors",
        [m["expression"] + " -> " + m["error"][1] for m in meta if "error" in m and family != "errors"],
    )


if __name__ == "__main__":
    tf.logging.set_verbosity(tf.logging.ERROR)
    for name in sys.argv[2:] or sorted(opcases.CASES):
        write(sys.argv[1], name)
