"""Kernel tests run on every instruction set that this machine has."""

import pytest

from recurra.kernels.native import library

ISAS = [isa for isa in ("avx512", "avx2", "portable") if library.core is not None and library.use_isa(isa)]
if ISAS:
    library.use_isa(ISAS[0])


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/kernels" in str(item.path) and library.missing:
            item.add_marker(pytest.mark.skip(reason=library.missing))


@pytest.fixture(params=ISAS or ["none"])
def isa(request):
    """One test per instruction set; the best one again afterwards."""
    before = library.isa()
    assert library.use_isa(request.param)
    yield request.param
    library.use_isa(before)
