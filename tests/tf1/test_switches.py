"""Programs kept alive after 2019 begin by switching TensorFlow 2 off."""

import subprocess
import sys

import pytest

PROGRAM = """
import tensorflow{module} as tf
tf.{prefix}disable_v2_behavior()
tf.{prefix}disable_eager_execution()
print(tf.Session().run(tf.constant(2.0) * 3))
"""


@pytest.mark.parametrize(("module", "prefix"), [(".compat.v1", ""), ("", "compat.v1.")])
def test_v2_can_be_switched_off(tmp_path, module, prefix):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(module=module, prefix=prefix))
    done = subprocess.run([sys.executable, "-m", "recurra.tf1", program], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip().endswith("6.0"), done.stderr
