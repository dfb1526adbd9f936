"""The reader of pictures: one small convolutional network for all endpoints, trained from scratch."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ...models.vision.normalise import to_network
from ...parallel.progress import progress
from ..supervised.backbones.cnn64 import trunk
from .cohort import ENDPOINTS, People
from .objective import losses, truth_of

CHANNELS = (16, 32, 64, 128)
BATCH = 64  # patients of a step, by default
RATE = 2e-3
SHIFT = 3  # pixels, up to which a training picture is moved
NOISE = 0.01  # of network values, whose range is 2
CHECKS = 20  # looks at the validation patients


class Reader(nn.Module):
    """Pictures (n, views, SIDE, SIDE) and known (n, 4) -> answers (2, n, 7): from the pictures alone; with age and sex.

    A trunk of 0.29 million weights for each view; both answers read the same features.
    """

    def __init__(self, views: int, known: int) -> None:
        super().__init__()
        self.trunks = nn.ModuleList(trunk(1, CHANNELS) for _ in range(views))
        self.alone = nn.Linear(views * CHANNELS[-1], len(ENDPOINTS))
        self.informed = nn.Linear(views * CHANNELS[-1] + known, len(ENDPOINTS))
        self.dropout = nn.Dropout(0.2)

    def forward(self, pictures: Tensor, known: Tensor) -> Tensor:
        seen = [trunk(view[:, None]) for trunk, view in zip(self.trunks, pictures.unbind(1), strict=True)]
        features = self.dropout(torch.cat(seen, dim=1))
        return torch.stack([self.alone(features), self.informed(torch.cat([features, known], dim=1))])


def read_with_network(
    pictures: np.ndarray,
    people: People,
    places: tuple[np.ndarray, np.ndarray, np.ndarray],
    steps: int,
    seed: int = 0,
    name: str = "network",
    device: str = "cpu",
    size: int = BATCH,
) -> np.ndarray:
    """Train on some patients, stop on others, answer for the rest.

    Each endpoint is answered at the one of `CHECKS` evenly spaced moments at which its loss on the validation patients
    was least: some are learned, and overfitted, before others. The weights that answer are an exponential average
    over about as many steps as lie between two such moments.

    Args:
        pictures: line integrals (n, views, SIDE, SIDE).
        people: the n patients.
        places: rows of the training, validation and test patients.
        steps: of `size` patients, at least `CHECKS`.
        device: where it is trained; all pictures lie there. Batches and moves are drawn alike everywhere.

    Returns:
        answers (2, n_test, 7): from the pictures alone, and with age and sex.
    """
    train, validation, test = places
    mean, sd = people.known[train].mean(axis=0), people.known[train].std(axis=0)
    known = torch.as_tensor((people.known - mean) / np.where(sd > 1e-9, sd, 1), dtype=torch.float32, device=device)
    seen, truth = to_network(torch.as_tensor(pictures, device=device)), truth_of(people).to(device)
    rng = torch.Generator().manual_seed(seed)
    # noise is most of what is drawn: a GPU draws its own rather than wait for it
    noise_rng = rng if seen.device.type == "cpu" else torch.Generator(seen.device).manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Reader(pictures.shape[1], known.shape[1]).to(seen.device)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a sixth faster
        average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(1 - CHECKS / steps), use_buffers=True)
        adam = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=steps, pct_start=0.1)
        best = torch.full((2, len(ENDPOINTS)), torch.inf, device=seen.device)
        answers = torch.zeros(2, len(test), len(ENDPOINTS), device=seen.device)
        checks = {steps * (i + 1) // CHECKS - 1 for i in range(CHECKS)}
        rows = _epochs(train, rng)
        for step in progress(range(steps), name):
            batch = torch.as_tensor([next(rows) for _ in range(size)]).to(seen.device)
            found = net.train()(_moved(seen[batch], rng, noise_rng), known[batch])
            loss = torch.stack([losses(one, truth[batch]) for one in found]).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            average.update_parameters(net)
            if step in checks:
                held = [_answer(average, seen[p], known[p]) for p in (validation, test)]
                now = torch.stack([losses(one, truth[validation]) for one in held[0]])
                better = now < best
                best = torch.where(better, now, best)
                answers = torch.where(better[:, None], held[1], answers)
    return answers.cpu().numpy()


def _epochs(rows: np.ndarray, rng: torch.Generator) -> Iterator[int]:
    """All rows in a new order, again and again."""
    while True:
        yield from rows[torch.randperm(len(rows), generator=rng).numpy()].tolist()


def _moved(pictures: Tensor, rng: torch.Generator, noise_rng: torch.Generator) -> Tensor:
    """Each patient's pictures (n, views, h, w), moved by up to SHIFT pixels, with noise; not mirrored: sides matter.

    Edges are continued.

    Args:
        rng: of the moves, on the CPU.
        noise_rng: of the noise, where the pictures are; may be `rng` itself.
    """
    n, views, height, width = pictures.shape
    device = pictures.device
    down, right = (torch.randint(0, 2 * SHIFT + 1, (2, n), generator=rng) - SHIFT).to(device)
    rows = (torch.arange(height, device=device) + down[:, None]).clamp(0, height - 1)  # (n, h)
    columns = (torch.arange(width, device=device) + right[:, None]).clamp(0, width - 1)  # (n, w)
    patient, view = torch.arange(n, device=device)[:, None, None, None], torch.arange(views, device=device)
    moved = pictures[patient, view[:, None, None], rows[:, None, :, None], columns[:, None, None]]
    return moved + NOISE * torch.randn(moved.shape, generator=noise_rng, device=device)


@torch.no_grad()
def _answer(net: nn.Module, pictures: Tensor, known: Tensor) -> Tensor:
    net.eval()
    return torch.cat([net(p, k) for p, k in zip(pictures.split(512), known.split(512))], dim=1)
