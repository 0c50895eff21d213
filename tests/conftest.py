"""What all tests share: how many examples hypothesis tries, and one thread unless a test asks for more."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, settings

SLOW_TOO = "slow or not slow"

_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("test", max_examples=25, derandomize=True, **_common)
settings.register_profile("full", max_examples=1000, **_common)


def pytest_configure(config: pytest.Config) -> None:
    """`make test` repeats the same 25 examples; `make check-full` tries a thousand new ones a law and cell."""
    settings.load_profile("full" if SLOW_TOO in config.option.markexpr else "test")
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether this is `make check-full`."""
    return SLOW_TOO in request.config.option.markexpr
