"""The device of a computation."""

from .errors import UsageError


def pick_device(device: str) -> str:
    """`auto` becomes `cuda` where there is one, else `cpu`, and `gpu` is `cuda`; a device that is not there is refused.

    Raises:
        UsageError: torch does not know the device, or this machine does not have it.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    chosen = "cuda" if device == "gpu" else device
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"--device {device} is not available on this machine; use auto or cpu") from None
    return chosen
