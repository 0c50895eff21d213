"""Bits do not depend on threads; many Python threads, forks and DataLoader workers are safe; memory is bounded."""

import gc
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import recurra as rc
from recurra.kernels.native import Reserve, library
from tests.kernels.cases import CELLS, kernel, make


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("B", "H"), [(1, 150), (9, 30), (40, 17)])
def test_same_bits_for_any_number_of_threads(isa, monkeypatch, name, B, H):
    case = make(name, 6, B, 5, H, lengths=torch.randint(0, 7, (B,)))
    expected = None
    for threads in (1, 2, 3, 4):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        found = kernel(case)
        expected = expected or found
        for key, value in expected.items():
            assert torch.equal(found[key], value), (key, threads)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("ragged", [False, True])
def test_same_bits_of_many_steps_of_few_units(isa, monkeypatch, name, ragged):
    """The weights' gradients are summed some steps at a time there, the rows' halves by themselves."""
    lengths = torch.randint(0, 131, (21,)) if ragged else None
    case = make(name, 130, 21, 3, 17, lengths=lengths)
    expected = None
    for threads in (1, 2, 3):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        found = kernel(case)
        expected = expected or found
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, rtol=0, atol=0, equal_nan=True, msg=lambda m, k=key: f"{k}: {m}"
            )


def test_eight_python_threads_at_once(isa):
    cases = [make(name, 12, 8, 20, 40, seed=seed) for seed in range(3) for name in CELLS]
    expected = [kernel(case) for case in cases]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for found, wanted in zip(pool.map(kernel, cases), expected, strict=True):
                assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of any fork of a threaded process
def test_a_forked_child_computes_the_same():
    case = make("lstm", 10, 8, 16, 64)
    expected = kernel(case)["outputs"]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if torch.equal(kernel(case)["outputs"], expected) and library.threads() == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Rows(torch.utils.data.Dataset):
    def __init__(self):
        self.case = make("gru", 5, 2, 3, 8)

    def __len__(self):
        return 4

    @torch.no_grad()
    def __getitem__(self, index):
        return self.case.cell.unroll(self.case.inputs + index, self.case.state)[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inside_dataloader_workers():
    rows = Rows()
    loaded = list(torch.utils.data.DataLoader(rows, num_workers=2, batch_size=None))
    for index, value in enumerate(loaded):
        assert torch.equal(value, rows[index])


def test_the_pool_keeps_what_is_used_again_and_no_more_than_its_bound():
    library.core.recurra_pool_clear()
    case = make("lstm", 20, 16, 32, 64)
    kernel(case)
    kept = library.core.recurra_pool_kept()
    for _ in range(5):
        kernel(case)
    assert 0 < library.core.recurra_pool_kept() <= kept
    assert kept < 256 << 20
    library.core.recurra_pool_clear()
    assert library.core.recurra_pool_kept() == 0


def test_what_backward_kept_goes_without_the_garbage_collector():
    case = make("lstm", 5, 40, 3, 400)
    library.core.recurra_pool_clear()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            outputs, state = rc.unroll(case.cell, case.inputs, time_major=True)
            outputs.sum().backward()
            del outputs, state
            case.cell.zero_grad()
            kept = library.core.recurra_pool_kept()
            assert kept > 1 << 20
            assert not any(type(thing) is Reserve for thing in gc.get_objects())
    finally:
        gc.enable()


def test_large_tensors_live_in_the_pool_and_go_back():
    library.core.recurra_pool_clear()
    tensor = library.empty(1024, 1024)
    assert library.core.recurra_pool_kept() == 0
    tensor.fill_(2)
    part = tensor[5:7]
    del tensor
    assert part.sum() == 4096 and library.core.recurra_pool_kept() == 0
    del part
    assert library.core.recurra_pool_kept() >= 4 << 20
    assert library.empty(3, 0).shape == (3, 0)
