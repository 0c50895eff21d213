"""Device names, as text that is merged and never acted upon."""

from __future__ import annotations

import re
from typing import Any


def _device_text(device: Any) -> str:
    if device is None:
        return ""
    text = device.to_string() if hasattr(device, "to_string") else str(device)
    match = re.fullmatch(r"/?(cpu|gpu|CPU|GPU):(\d+|\*)", text)
    return f"/device:{match[1].upper()}:{match[2]}" if match else text


def _merge_devices(outer: str, inner: str) -> str:
    """Parts that `inner` names replace those of `outer`."""
    if not outer or not inner or not inner.startswith("/"):
        return inner or outer
    parts = {p.partition(":")[0]: p for p in outer.strip("/").split("/")}
    parts.update({p.partition(":")[0]: p for p in inner.strip("/").split("/")})
    return "/" + "/".join(parts[k] for k in ("job", "replica", "task", "device") if k in parts)
