"""What programs ask about devices: there is one CPU."""

from __future__ import annotations

from typing import NamedTuple

from recurra.tf1.names import tf_export


class DeviceAttributes(NamedTuple):
    """One device as device_lib lists it."""

    name: str = "/device:CPU:0"
    device_type: str = "CPU"
    memory_limit: int = 268435456
    incarnation: int = 1
    physical_device_desc: str = ""


@tf_export("python.client.device_lib.list_local_devices")
def list_local_devices(session_config: object = None) -> list[DeviceAttributes]:
    """One CPU."""
    return [DeviceAttributes()]


@tf_export("test.is_gpu_available")
def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: object = None) -> bool:
    """False: programs written for both run their CPU branch."""
    return False


@tf_export("test.is_built_with_cuda", "test.is_built_with_rocm", "test.is_built_with_gpu_support")
def is_built_with_cuda() -> bool:
    """False."""
    return False


@tf_export("test.gpu_device_name")
def gpu_device_name() -> str:
    """'': there is none."""
    return ""
