"""Can a classifier tell real from rendered? Trained anew for each way of preparing radiographs, tested on unseen."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from ...models.adaptation.appearance import Appearance, frame
from ...models.vision.normalise import to_network
from ...statistics.compare_auroc import delong_interval

BATCH = 16
FRAMING = Appearance(shift=0.05, zoom=1.1, ap=0.0)


def classifier() -> nn.Sequential:
    """A small CNN: five strided convolutions and a mean over places."""
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64), (64, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))


def train_classifier(real: np.ndarray, rendered: np.ndarray, steps: int, seed: int) -> nn.Sequential:
    """Real is 1, rendered 0; views (n, size, size) p. Half of every batch is real; frames are shifted at random."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = classifier()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    truth = torch.cat([torch.ones(BATCH // 2), torch.zeros(BATCH // 2)])
    for _ in range(steps):
        drawn = [p[torch.randint(len(p), (BATCH // 2,), generator=generator).numpy()] for p in (real, rendered)]
        x = frame(network_values(np.concatenate(drawn)), FRAMING, generator)
        loss = nn.functional.binary_cross_entropy_with_logits(network(x)[:, 0], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def answers(network: nn.Module, views_p: np.ndarray) -> np.ndarray:
    """Logits (n,) that views (n, size, size) p are real."""
    return torch.cat([network(x)[:, 0] for x in network_values(views_p).split(64)]).numpy()


def probe(known: tuple[np.ndarray, np.ndarray], unseen: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """The same by logistic regression on V's features; pairs of (real, rendered), each (n, d)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    model.fit(np.concatenate(known), np.repeat([1, 0], [len(part) for part in known]))
    return told_apart(*(model.decision_function(part) for part in unseen))


def network_values(views_p: np.ndarray) -> Tensor:
    return to_network(torch.from_numpy(np.asarray(views_p, np.float32)))[:, None]


def told_apart(real: np.ndarray, rendered: np.ndarray) -> dict[str, float]:
    """AUROC with DeLong's interval of a judge's answers (n,) to unseen pictures, one of a patient."""
    labels = np.repeat([1, 0], [len(real), len(rendered)])
    value, (low, high) = delong_interval(labels, np.concatenate([real, rendered]))
    return {"auroc": float(value), "low": float(low), "high": float(high)}
