"""TensorFlow 1.15's side of test_oracle.py: reads what recurra wrote, and writes what it read.

usage: python3.7 oracle_side.py PREFIX VALUES.npz OUTPUT V1|V2
"""

import sys

import numpy as np
import tensorflow as tf

prefix, values, output, version = sys.argv[1:]
expected = {name.replace("|", "/"): value for name, value in np.load(values).items()}
STRINGS = np.array([[b"", b"abc"], [b"\xff\x00", b"x" * 70000]], object)
expected["text"] = STRINGS
# TensorFlow's own NewCheckpointReader refuses these in V1 files; its Saver reads them
REFUSED_IN_V1 = ("part", "dtype/float16", "dtype/bool", "dtype/complex64", "dtype/complex128", "dtype/uint16")
v1 = version == "V1"


def same(got, name):
    want = expected[name]
    got = np.asarray(got)
    if name == "bfloat16":
        got = got.astype(np.float32)
    assert got.shape == want.shape and (got == want).all(), name


reader = tf.train.NewCheckpointReader(prefix)
shapes = reader.get_variable_to_shape_map()
assert set(shapes) == set(expected), set(shapes) ^ set(expected)
for name in expected:
    if not (v1 and name in REFUSED_IN_V1):
        same(reader.get_tensor(name), name)

variables = {}
for name, want in expected.items():
    kind = tf.bfloat16 if name == "bfloat16" else tf.string if want.dtype == object else tf.as_dtype(want.dtype)
    if name == "part":
        partitioner = tf.fixed_size_partitioner(2)  # another partition than the one that was written
        variables[name] = tf.get_variable("part", want.shape, tf.float32, partitioner=partitioner)
    else:
        start = np.full(want.shape, b"", object) if kind == tf.string else np.zeros(want.shape, np.float32)
        initial = tf.constant(start) if kind == tf.string else tf.cast(tf.constant(start), kind)
        variables[name] = tf.Variable(initial, name=name.replace("/", "_"), dtype=kind)
with tf.Session() as session:
    tf.train.Saver(variables).restore(session, prefix)
    for name, variable in variables.items():
        same(session.run(tf.convert_to_tensor(variable) if name == "part" else variable), name)
    write = tf.train.SaverDef.V1 if v1 else tf.train.SaverDef.V2
    tf.train.Saver(variables, write_version=write).save(session, output, write_meta_graph=False, write_state=False)
print("TensorFlow", tf.__version__, "read and wrote", len(expected), "variables")
