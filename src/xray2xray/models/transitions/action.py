"""What the source does between two views."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Action:
    """Rotate the source from `input_yaw_deg` to `target_yaw_deg`, both (b,) float, in degrees."""

    input_yaw_deg: Tensor
    target_yaw_deg: Tensor

    @classmethod
    def between(cls, input_yaw_deg: float, target_yaw_deg: float, batch: int, device: torch.device) -> "Action":
        """The same rotation for a whole batch."""
        return cls(
            torch.full((batch,), float(input_yaw_deg), device=device),
            torch.full((batch,), float(target_yaw_deg), device=device),
        )

    @property
    def difference_deg(self) -> Tensor:
        return self.target_yaw_deg - self.input_yaw_deg
