# ruff: noqa  (read by Python 3.7 too)
"""How a case of opcases.py is run; the same under TensorFlow 1.15 and under recurra.tf1 (Python 3.7 syntax)."""

import numpy as np

try:
    from tests.goldens.tf1 import opcases
except ImportError:  # run by make_opcases.py, next to it
    import opcases


def run_case(tf, expression):
    """Evaluate one expression in a fresh graph; see make_opcases.py for what comes back."""
    values = opcases.arrays()
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        names = opcases.namespace(tf, values)
        try:
            outputs = _flatten(tf, eval(expression, names))
            static = [str(t.get_shape()) for t in outputs]
            grads = _gradients(tf, expression, names, values, outputs)
            started = [v.initializer for v in tf.global_variables() + tf.local_variables()]
            with tf.Session() as session:
                if started:
                    session.run(started)
                arrays, gradients = session.run((outputs, grads))
        except Exception as problem:
            return {"error": [type(problem).__name__, str(problem).split("\n")[0][:300]], "arrays": {}}
        dtypes = [t.dtype.base_dtype.name for t in outputs]
        graph_names = [t.name for t in outputs]
    stored = {"out%d" % n: _storable(a) for n, a in enumerate(arrays)}
    stored.update(("grad_" + k, np.asarray(a)) for k, a in gradients.items())
    return {"arrays": stored, "shapes": static, "dtypes": dtypes, "names": graph_names}


def _flatten(tf, value):
    if isinstance(value, tf.SparseTensor):
        return [value.indices, value.values, value.dense_shape]
    if isinstance(value, tf.IndexedSlices):
        return [value.values, value.indices]
    if isinstance(value, (list, tuple)):
        return [t for part in value if part is not None for t in _flatten(tf, part)]
    return [tf.convert_to_tensor(value)]


def _gradients(tf, expression, names, values, outputs):
    """Gradients of sum(output * fixed weights) for the float32 inputs that the expression names."""
    import re

    used = [
        k for k in sorted(set(re.findall(r"[a-z_0-9]+", expression))) if k in values and values[k].dtype == np.float32
    ]
    terms = []
    for t in outputs:
        if t.dtype.base_dtype == tf.float32:
            size = tf.size(t)
            weights = tf.reshape(tf.sin(tf.cast(tf.range(size), tf.float32) + 1.0), tf.shape(t))
            terms.append(tf.reduce_sum(t * weights))
    if not terms or not used:
        return {}
    try:
        found = tf.gradients(tf.add_n(terms), [names[k] for k in used])
    except LookupError:  # TensorFlow has no gradient for some op of the expression
        return {}
    return {k: tf.convert_to_tensor(g) for k, g in zip(used, found) if g is not None}


def _storable(array):
    array = np.asarray(array)
    return (
        np.array([v if isinstance(v, bytes) else str(v).encode() for v in array.ravel()], dtype="S").reshape(
            array.shape
        )
        if array.dtype == object
        else array
    )
