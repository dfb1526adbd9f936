"""Checkpoints: everything a run needs to go on exactly, as tensors and plain values (never pickled objects)."""

from pathlib import Path
from typing import Any

import torch

from ..core.errors import InputError
from ..io.files import atomic_path

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write atomically: a run killed while writing keeps its previous checkpoint."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        InputError: the file is missing, truncated or not a checkpoint.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; there is nothing to resume, train without --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not {"step", "objective", "optimizers", "configuration"} <= state.keys():
            raise KeyError("parts are missing")
    except Exception as error:  # torch raises RuntimeError, EOFError, UnpicklingError, ... depending on where it is cut
        reason = type(error).__name__
        raise InputError(f"{path} is truncated or no checkpoint ({reason}); delete it and train again") from None
    return state
