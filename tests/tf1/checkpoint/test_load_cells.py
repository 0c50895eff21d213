"""Every cell of the library takes the variables of TensorFlow 1.15's own, by their names."""

import pytest
import torch

import recurra as rc
import recurra.tf1.checkpoint as ckpt
from recurra import _nest
from tests.attention.test_attention import WRAPPERS
from tests.cells.family_goldens import Golden
from tests.cells.test_family import TENSORFLOW
from tests.goldens_io import Arrays
from tests.laws.golden import leaves_of
from tests.laws.table import golden_cases


@pytest.mark.parametrize(
    ("row", "golden"), golden_cases(), ids=lambda value: value if isinstance(value, str) else value.name
)
def test_every_golden_file(row, golden):
    arrays = Arrays(f"cells/cell_{golden}")
    variables = {name.removeprefix("var/"): value.numpy() for name, value in arrays.under("var").items()}
    cell = row.make()
    if row.tf_scope is not None:
        cell.tf_scope = row.tf_scope
    cell = cell.to(next(iter(arrays.under("var").values())).dtype).eval()
    report = ckpt.load_into(cell, variables)
    assert not report.missing
    assert not [name for name in report.unused if f"var/{name}" not in arrays.meta.get("no_grad", [])], report
    state = leaves_of(arrays, "init_state", cell.state_size)
    with torch.no_grad():
        outputs, _ = rc.unroll(cell, arrays["inputs"], state, lengths=arrays.get("seq_len"))
    for place, leaf in enumerate(_nest.flatten(outputs)):
        key = "outputs" if "outputs" in arrays else f"outputs/{place}"
        arrays.check(key, leaf)


@pytest.mark.parametrize("name", TENSORFLOW)
def test_every_cell_of_the_family(name):
    golden = Golden(f"cell_{name}")
    if "outputs/0" in golden.arrays:
        golden.join_outputs()
    cell = TENSORFLOW[name]().to(golden.dtype).eval()
    variables = {key: value.numpy() for key, value in golden.under("var").items()}
    report = ckpt.load_into(cell, variables)
    assert not report.missing and not report.unused, report
    if "inputs" not in golden or golden["inputs"].dim() != 3:
        return  # several inputs or pictures: their values are compared in tests/cells
    state = golden.nest("init_state", cell.state_size)
    with torch.no_grad():
        outputs, _ = rc.unroll(cell, golden["inputs"], state, lengths=golden.get("seq_len"))
    golden.check("outputs", outputs)


@pytest.mark.parametrize("name", WRAPPERS)
def test_attention_wrappers(name):
    _, make = WRAPPERS[name]
    wrapper, golden = make(), Arrays(f"seq2seq/attwrap_{name}")
    variables = {key: value.numpy() for key, value in golden.under("var").items()}
    report = ckpt.load_into(wrapper, variables)
    assert not report.unused and len(report.matched) == len(list(wrapper.parameters()))
    with torch.no_grad():
        outputs, _ = rc.unroll(wrapper.attend(golden["memory"], golden["memory_len"]), golden["inputs"])
    golden.check("outputs", outputs)
    assert set(ckpt.variables_of(wrapper, "dec")) == set(variables)
