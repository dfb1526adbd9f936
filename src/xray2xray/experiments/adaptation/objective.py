"""The objective of the CycleGAN (Zhu et al. 2017, arXiv 1703.10593): radiographs to simulated views and back.

Two generators, two critics, unpaired pictures. Least-squares adversarial losses, cycle consistency and identity are the
paper's; an anatomy term is added, since a CycleGAN alone may move, erase or invent structures: the edges of a picture
and of what is made of it must lie in the same places. Cycle and anatomy count fully about the lungs only: a simulated
scan ends somewhere at the shoulders and the abdomen, and what is cut there cannot come back.
"""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...models.adaptation.appearance import Appearance, frame
from ...models.adaptation.generator import AdapterConfig, Generator
from ...models.vision.normalise import to_network
from ...radiograph.lung_field import STANDARD_CENTRE, STANDARD_TOP, STANDARD_WIDTH
from ...training.objective import Batch, Objective, TrainingStopped, follow
from ...training.objectives.vision import stored_to_network
from ...training.pictures import contact_sheet
from .anatomy import gradient_correlation
from .buffer import ImageBuffer
from .critic import Critic, distance

FRAMING = Appearance(shift=0.04, zoom=1.08, ap=0.0)  # few radiographs: the critics must not learn them by heart


@dataclass(frozen=True)
class AdaptationLosses:
    """Weights; `outside` is how much of cycle and anatomy is left away from the lungs.

    A critic is shown `critic_batch` pictures of each kind: the fakes are mostly earlier ones, which cost nothing.
    """

    adversarial: float = 1.5
    cycle: float = 5.0
    identity: float = 1.0
    anatomy: float = 6.0
    outside: float = 0.03
    buffer: int = 100
    critic_batch: int = 8
    critic_width: int = 24
    average_decay: float = 0.99


class AdaptationObjective(Objective):
    """`real` is float32 (n, size, size) p, as `normalise_radiograph` gives it; `rendered` uint16 (m, size, size)
    frontals as stored. The last `held_out` of `real`, by default a tenth, are only looked at. A batch counts
    pictures of each domain."""

    stage = "adaptation"
    parts = ("generators", "critics")

    def __init__(
        self,
        config: AdapterConfig,
        real: np.ndarray,
        rendered: np.ndarray,
        losses: AdaptationLosses | None = None,
        held_out: int | None = None,
    ) -> None:
        super().__init__()
        self.losses = losses = losses or AdaptationLosses()
        self.config = config
        self.generators = nn.ModuleDict({"to_simulated": Generator(config), "to_real": Generator(config)})
        self.critics = nn.ModuleDict({name: Critic(losses.critic_width) for name in ("simulated", "real")})
        self.buffers_of = nn.ModuleDict({name: ImageBuffer(losses.buffer, config.size) for name in self.critics})
        # What is kept: adversarial training swings about its goal, the average over its last steps does not.
        self.average = copy.deepcopy(self.generators["to_simulated"]).requires_grad_(False)
        self._real, self._rendered = real, rendered
        self._train = len(real) - (len(real) // 10 if held_out is None else held_out)
        self._window = (lung_window(config.size, losses.outside),)
        self._drawn: tuple[Tensor, Tensor] | None = None  # this step's fakes, for the critics

    def learned(self, part: str) -> nn.Module:
        return self.generators if part == "generators" else self.critics

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        more = max(0, self.losses.critic_batch - size)  # pictures of which only the critics are shown
        real = torch.randint(self._train, (size + more,), generator=generator).numpy()
        rendered = torch.randint(len(self._rendered), (size + more,), generator=generator).numpy()
        x, y = self._network(self._real[real]), stored_to_network(self._rendered[rendered])[:, None]
        batch = {"real": frame(x, FRAMING, generator), "simulated": frame(y, FRAMING, generator)}
        chance = {"exchange": torch.rand(2, size, 2, generator=generator)}
        return batch | chance | {"recall": torch.rand(2, more, generator=generator)}

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        if part == "critics":
            return self._criticise(batch)
        size, weights = batch["exchange"].shape[1], self.losses
        real, simulated = batch["real"][:size], batch["simulated"][:size]
        to_simulated, to_real = self.generators["to_simulated"], self.generators["to_real"]
        window = self._window[0].to(real.device)
        like_simulated, like_real = to_simulated(real), to_real(simulated)
        adversarial = sum(
            distance(self.critics[name](fake), 1.0)
            for name, fake in (("simulated", like_simulated), ("real", like_real))
        )
        cycle = (window * (to_real(like_simulated) - real).abs()).mean()
        cycle = cycle + (window * (to_simulated(like_real) - simulated).abs()).mean()
        identity = (to_simulated(simulated) - simulated).abs().mean()  # of the generator that is kept
        kept = gradient_correlation(real, like_simulated, window), gradient_correlation(simulated, like_real, window)
        anatomy = sum((1 - correlation).mean() for correlation in kept)
        loss = weights.adversarial * adversarial + weights.cycle * cycle + weights.identity * identity
        loss = loss + weights.anatomy * anatomy
        self._drawn = (like_simulated.detach(), like_real.detach())
        figures = {"adversarial": adversarial, "cycle": cycle, "identity": identity, "anatomy": kept[0].mean()}
        return loss, {name: figure.detach() for name, figure in figures.items()}

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.generators["to_simulated"], step, self.losses.average_decay)
        return {}

    def validate(self) -> dict[str, float]:
        """Of held-out radiographs: how much of the edges is kept, and how large the change is, in p."""
        real = self._held_out()
        adapted = self.average(real)
        window = self._window[0].to(real.device)
        correlation = gradient_correlation(real, adapted, window).mean()
        return {"anatomy": float(correlation), "change_p": float((adapted - real).abs().mean() * 5)}

    def watch(self, step: int, figures: dict[str, float]) -> None:
        if step > 300 and figures.get("anatomy", 1.0) < 0.2:
            raise TrainingStopped(f"{self.stage}: the anatomy is being lost at step {step}; raise its weight")

    def picture(self) -> np.ndarray:
        """Up to six held-out radiographs, what is made of them, and as many rendered frontals."""
        held = self._held_out()
        shown = min(6, len(held), len(self._rendered))
        rendered = stored_to_network(self._rendered[:shown])[:, None].to(held.device)
        return contact_sheet([held[:shown], self.average(held[:shown]), rendered])

    def configuration(self) -> dict[str, Any]:
        sizes = {"real": len(self._real), "rendered": len(self._rendered)}
        return {"model": asdict(self.config), "losses": asdict(self.losses), **sizes}

    def _criticise(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        assert self._drawn is not None, "the generators' part comes first in each step"
        loss, figures = batch["real"].new_zeros(()), {}
        for i, (name, fakes) in enumerate(zip(("simulated", "real"), self._drawn, strict=True)):
            buffer: Any = self.buffers_of[name]
            shown = torch.cat([buffer.exchange(fakes, batch["exchange"][i]), buffer.recall(batch["recall"][i])])
            true, fake = (self.critics[name](x) for x in (batch[name], shown))
            loss = loss + (distance(true, 1.0) + distance(fake, 0.0)) / 2
            figures[f"{name}_told"] = (true[1].mean() - fake[1].mean()).detach()
        return loss, figures

    def _held_out(self) -> Tensor:
        held = self._real[self._train :] if self._train < len(self._real) else self._real[:1]
        return self._network(held).to(next(self.parameters()).device)

    @staticmethod
    def _network(views_p: np.ndarray) -> Tensor:
        return to_network(torch.from_numpy(np.asarray(views_p, np.float32)))[:, None]


def lung_window(size: int, outside: float) -> Tensor:
    """(1, 1, size, size): 1 about the standard lung field, `outside` beyond, and a ramp of a tenth of the side between.

    The finder takes lungs for a fifth too narrow and begins a twentieth too low (docs/results/adaptation.md).
    """
    place = (torch.arange(size) + 0.5) / size
    half_width, top, bottom = 0.65 * STANDARD_WIDTH, STANDARD_TOP - 0.08, STANDARD_TOP + 0.65
    across = (half_width + 0.1 - (place - STANDARD_CENTRE).abs()) / 0.1
    down = torch.minimum(place - top + 0.1, bottom + 0.1 - place) / 0.1
    inside = across.clamp(0, 1)[None, :] * down.clamp(0, 1)[:, None]
    return (outside + (1 - outside) * inside)[None, None]
