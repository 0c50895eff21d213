"""Products by themselves, and lists of calls run over a sequence, against torch in float64."""

import pytest
import torch

from recurra.kernels.native import library
from recurra.kernels.replay import NOWHERE, Place, Product, Replay, Where, product, sizes_of
from recurra.kernels.step_capture import capture

SIZES = [(1, 1, 1), (1, 650, 3), (2, 17, 33), (3, 400, 100), (14, 32, 17), (20, 65, 650), (37, 129, 16), (512, 3, 5)]
INSTRUCTIONS = ["portable", "avx2", "avx512"]


def matrix(rows, columns, *, turned):
    return torch.randn(columns, rows).t() if turned else torch.randn(rows, columns)


@pytest.fixture(params=INSTRUCTIONS)
def instructions(request):
    before = library.isa()
    if not library.use_isa(request.param):
        pytest.skip("this machine has no such instructions")
    yield request.param
    library.use_isa(before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False), (True, True)])
def test_products_of_any_size_and_layout(instructions, threads, turned, monkeypatch):
    monkeypatch.setattr(library, "threads", lambda: threads)
    for M, N, K in SIZES:
        a, b = matrix(M, K, turned=turned[0]) / K**0.5, matrix(K, N, turned=turned[1])
        found = product(a, b, torch.full((M, N), torch.nan))
        torch.testing.assert_close(found.double(), a.double() @ b.double(), rtol=1e-5, atol=1e-5)


def test_a_long_product_is_cut_and_writes_nothing_beside():
    a, b = torch.randn(4500, 30).t(), torch.randn(4500, 21)
    wide = torch.full((30, 40), 7.0)
    product(a, b, wide[:, 10:31])
    torch.testing.assert_close(wide[:, 10:31].double(), a.double() @ b.double(), rtol=1e-4, atol=1e-3)
    assert (wide[:, :10] == 7).all() and (wide[:, 31:] == 7).all()


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    a, b = torch.randn(35, 150), torch.randn(150, 600)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        results.append([product(rows, b, torch.empty(len(rows), 600)) for rows in (a, a[:3], a[:1])])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@pytest.mark.parametrize(
    "operands",
    [
        (torch.ones(2, 3).double(), torch.ones(3, 2).double(), torch.ones(2, 2).double()),
        (torch.ones(2, 6)[:, ::2].t()[:2, :2], torch.ones(2, 2), torch.ones(2, 2)),
        (torch.ones(4, 6)[::2, ::2], torch.ones(3, 2), torch.ones(2, 2)),
        (torch.ones(2, 0), torch.ones(0, 2), torch.ones(2, 2)),
    ],
)
def test_other_products_are_torchs(operands):
    a, b, out = operands
    if sizes_of(a, b, out) is None:
        assert torch.equal(product(a, b, torch.empty_like(out)), a @ b)
    else:
        torch.testing.assert_close(product(a, b, torch.empty_like(out)), a @ b)


def where(tensor, *, shift=0, first=None):
    """A slot that goes over the first axis."""
    stride = tensor.stride(0) * 4 if len(tensor) > 1 else 0
    return Where(tensor.data_ptr(), stride, len(tensor), shift, 0 if first is None else first.data_ptr())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("B", [1, 3, 20])
def test_a_linear_recurrence(reverse, B):
    """h = x + h' (w u'), w u' in scratch, h in two places that take turns, the first elsewhere; the sum of all h."""
    T, H = 5, 19
    x, w, u, start = torch.randn(T, B, H), torch.randn(H, H) / H, torch.randn(H, H), torch.randn(B, H)
    turns, total, bias = torch.empty(2, B, H), torch.zeros(B, H), torch.randn(H)
    out = torch.empty(T, B, H)
    dense = (B, H, H, H, 1, H, 1, H)
    weights = Product((H, H, H, H, 1, 1, H, H, 0), (Place(2, 0), Place(3, 0), Place(7, 0), NOWHERE))
    step = Product((*dense, H), (Place(1, 0), Place(7, 0), Place(4, 0), Place(0, 0)))
    given = Product((*dense, 0), (Place(4, 0), Place(3, 0), Place(5, 0), Place(6, 0)))
    replay = Replay([weights, step, given], 7, [4 * H * H], None)
    slots = [
        where(x),
        where(turns, shift=0, first=start),
        where(w.unsqueeze(0)),
        where(u.unsqueeze(0)),
        where(turns, shift=1),
        where(out),
        where(bias.unsqueeze(0)),
    ]
    replay.run(slots, T, reverse=reverse, sums=[(4, total)])
    h, sums = start.double(), torch.zeros(B, H).double()
    expected = torch.empty(T, B, H).double()
    turned = u.t().double()
    for i in range(T):
        t = T - 1 - i if reverse else i
        h = x[t].double() + h @ (w.double() @ turned)
        sums, expected[t] = sums + h, h @ u.double() + bias.double()
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(total.double(), sums, rtol=1e-4, atol=1e-4)


class Kernels:
    """What a program of Inductor's multiplies with."""

    @staticmethod
    def mm(a, b, *, out):
        torch.mm(a, b, out=out)


extern_kernels = Kernels()
empty_strided_cpu = torch.empty_strided
reinterpret_tensor = torch.as_strided


def straight(args):
    a, b, out = args
    args.clear()
    between = empty_strided_cpu((4, 4), (4, 1), torch.float32)
    extern_kernels.mm(a, reinterpret_tensor(b, (4, 4), (1, 4)), out=between)
    extern_kernels.mm(between, a, out=out)
    del between
    return ()


def branching(args):
    a, b, out = args
    if extern_kernels:
        extern_kernels.mm(a, b, out=out)


def of_a_value(args):
    a, b, out = args
    a.item()
    extern_kernels.mm(a, b, out=out)


def calling(args):
    a, b, out = args
    sorted(a)
    extern_kernels.mm(a, b, out=out)


def test_a_program_is_written_down():
    a, b, out = torch.randn(4, 4), torch.randn(4, 4), torch.full((4, 4), 7.0)
    replay = capture(straight, [a, b, out])
    assert (out == 7).all()  # it ran on copies
    replay.run([where(tensor.unsqueeze(0)) for tensor in (a, b, out)], 1, reverse=False)
    torch.testing.assert_close(out, a @ b.t() @ a)


@pytest.mark.parametrize("program", [branching, of_a_value, calling, len])
def test_what_is_no_list_of_calls_is_not_written_down(program):
    assert capture(program, [torch.randn(4, 4) for _ in range(3)]) is None
