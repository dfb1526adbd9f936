"""A critic's memory of earlier fakes (Shrivastava et al. 2017, arXiv 1612.07828): it must not forget old tricks."""

import torch
from torch import Tensor, nn


class ImageBuffer(nn.Module):
    """Up to `capacity` earlier fakes (1, size, size), kept as state so that a resumed run is the uninterrupted one."""

    def __init__(self, capacity: int, size: int) -> None:
        super().__init__()
        self.images: Tensor
        self.filled: Tensor
        self.register_buffer("images", torch.zeros(capacity, 1, size, size))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, fakes: Tensor, chance: Tensor) -> Tensor:
        """What the critic is shown in place of `fakes`.

        While there is room each fake is kept and shown. Then every other one, by chance, is kept in place of an old
        one, and the old one is shown.

        Args:
            fakes: (b, 1, size, size).
            chance: (b, 2) uniform in 0..1: whether to exchange, and for which.

        Returns:
            (b, 1, size, size), of the same type.
        """
        shown = fakes.clone()
        for i, (fake, (coin, place)) in enumerate(zip(fakes, chance.tolist(), strict=True)):
            filled = int(self.filled)
            if filled < len(self.images):
                self.images[filled] = fake
                self.filled += 1
            elif coin < 0.5:
                slot = min(int(place * filled), filled - 1)
                shown[i] = self.images[slot]
                self.images[slot] = fake
        return shown

    def recall(self, chance: Tensor) -> Tensor:
        """Earlier fakes (n, 1, size, size), drawn by `chance` (n,) uniform in 0..1; there must be one."""
        return self.images[(chance * self.filled).long().clamp_max(int(self.filled) - 1)]
