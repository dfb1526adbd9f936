"""`precision="auto"`: bfloat16 where this machine is faster with it, float32 elsewhere.

On a CPU without native bfloat16 autocast is 7 to 17 times slower than float32, so one must look, not guess.
"""

import time
from functools import cache

import torch


def resolve_precision(precision: str, device: str = "cpu") -> str:
    """`auto` becomes `bf16-mixed` or `32-true`; anything else is passed on to Lightning Fabric."""
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if device != "cpu":
        return "32-true"
    return "bf16-mixed" if bfloat16_speedup() > 1.3 else "32-true"


@cache
def bfloat16_speedup() -> float:
    """How many times faster a small matrix product is in bfloat16 than in float32 on this CPU (some milliseconds)."""
    return _product_s(torch.float32) / _product_s(torch.bfloat16)


def _product_s(dtype: torch.dtype) -> float:
    left, right = torch.ones(1024, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return best
