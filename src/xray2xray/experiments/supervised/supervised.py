"""Supervised baselines: one network for several findings and one event in time, trained on pictures and their labels.

    from xray2xray.experiments.supervised.supervised import SupervisedNetwork
    network = SupervisedNetwork("convnext", seconds=3600).fit(pictures, {"edema": edema}, time, event, out="run")
    network.predict_proba(unseen)  # (n, 1)

The loop, its checkpoints and its exact resume are those of the world model's training.
"""

import json
import math
import time as clock
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ...core.device import pick_device
from ...core.errors import InputError, UsageError
from ...core.evidence import VIRTUAL
from ...io.files import atomic_path, write_json
from ...io.model_folder import sha256
from ...probing.endpoints import Endpoints
from ...probing.head import Array, refuse_real
from ...probing.survival import MINIMUM, CoxHead
from ...statistics.auroc import auroc
from ...statistics.checks import binary
from ...statistics.concordance import harrell_c
from ...training.checkpoint import CHECKPOINT
from ...training.loop import fit
from ...training.steps import LoopConfig, Machine
from .backbones import build_backbone
from .backbones.weights import load_weights
from .network import MultiTaskNetwork, Rows, SupervisedObjective, Training, grey_values

FORMAT, VERSION = "xray2xray-supervised", 2
LOOK = 25  # steps between looks at the validation pictures, or a pass over the training pictures, if that is longer
WARM_UP = 100
UNLIMITED = 1_000_000  # steps, where seconds are the budget
SAVE_AFTER_S = 60.0  # a large network's checkpoint takes longer to write than some budgets' steps
HELD_OUT = 0.2  # share of the patients who validate, unless the caller names them
SHRINKAGE = 0.01  # penalty of the curve's one weight


@dataclass(eq=False)
class SupervisedNetwork:
    """A network and its training; attributes that end with `_` exist once it is fitted.

    Args:
        method, size: as `build_backbone` has them.
        steps, seconds: the budget, one of them: what the training may take to its plateau, where it ends.
        batch, rate, seed: of the training.
        weights: a file of public weights to begin with, see `load_weights`.
        evidence_level: of the data it is trained on.
        device, precision: as `Machine`.

    Attributes:
        labels_: names of the findings; training_: how the training ended.
        network_: at the look with the least validation loss.
        curve_: a Cox regression of the event on the network's log hazard, fitted on the validation patients: on those
            of the training the hazard is too sure of itself. None without an event.
    """

    OBJECTIVE: ClassVar = SupervisedObjective

    method: str = "resnet"
    size: str = "paper"
    steps: int | None = None
    seconds: float | None = None
    batch: int = 32
    rate: float = 5e-4
    seed: int = 0
    weights: str | Path | None = None
    evidence_level: str = VIRTUAL
    device: str = "cpu"
    precision: str = "auto"
    labels_: tuple[str, ...] = field(init=False, repr=False)
    training_: Training = field(init=False, repr=False)
    network_: MultiTaskNetwork = field(init=False, repr=False)
    curve_: CoxHead | None = field(init=False, repr=False)

    def fit(
        self,
        images: NDArray[Any],
        labels: Mapping[str, ArrayLike],
        time: ArrayLike | None = None,
        event: ArrayLike | None = None,
        *,
        patients: ArrayLike | None = None,
        validation: ArrayLike | None = None,
        out: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from labelled pictures.

        Args:
            images: (n, h, w) of any kind of number, such as line integrals; read a batch at a time.
            labels: finding -> (n,) of 0 and 1; NaN or -1 where unknown. May be empty if there is an event.
            time, event: (n,), NaN where unknown; see `Endpoints`.
            patients: (n,), whose each picture is; by default all differ.
            validation: bool (n,), the pictures that choose the checkpoint; by default those of a fifth of the patients.
            out: folder of the checkpoint and the metrics; a temporary one by default.
            resume: go on from the checkpoint in `out`, exactly.

        Raises:
            UsageError: no budget or two, a resume without a folder, a folder that holds another run, or no such
                method.
            InputError: pictures or labels that cannot be used, fewer than two classes on either side of the split, a
                patient on both sides, or fewer than four validation patients with the event.
        """
        if (self.steps is None) == (self.seconds is None) or (self.steps or self.seconds or 0) <= 0:
            raise UsageError("a network needs a budget: steps or seconds, one of them and more than 0")
        if self.batch < 1 or not self.rate > 0:
            raise UsageError(f"batch {self.batch} and rate {self.rate:g}: both must be more than 0")
        begun, device = clock.monotonic(), pick_device(self.device)
        if resume and out is None:
            raise UsageError("to resume, name the folder that holds the checkpoint")
        started = out is not None and (Path(out) / CHECKPOINT).exists()
        if started and not resume:
            raise UsageError(f"{out} holds a run; resume it, or choose another folder")
        self._check_images(images)
        truth = Endpoints.of(labels, time, event, len(images))
        train, held = _split(len(images), patients, validation, self.seed)
        for part, rows in (("training", train), ("validation", held)):
            truth.take(rows).check(part)
        followed = held if truth.time is None else held[~np.isnan(truth.time[held])]
        if truth.event is not None and (truth.event[followed] == 1).sum() < MINIMUM:
            raise InputError(f"fewer than {MINIMUM} validation pictures are of patients with the event")
        mean, sd = grey_values(images, train)

        seconds = math.inf if self.seconds is None else self.seconds
        network = self._begin(images, truth, train, mean, sd)
        trained = self.OBJECTIVE(network, images, truth, train, held, self._named(), seconds, begun)
        with TemporaryDirectory() as temporary:
            folder, machine = Path(temporary if out is None else out), Machine(device, self.precision, self.seed)
            fit(trained, self._loop(len(train)), machine, folder, resume and started)
        if not trained.training_.best_step:
            trained.validate()  # the seconds were spent before the first look
        self.labels_, self.network_, self.training_ = truth.names, trained.best.eval(), trained.training_
        self.curve_ = None
        if truth.time is not None and truth.event is not None:
            hazard = self.network_.answers(images, followed)[:, -1:].double().numpy()
            self.curve_ = CoxHead("event", "log hazard", self.evidence_level, SHRINKAGE, self.seed)
            self.curve_.fit(hazard, truth.time[followed], truth.event[followed])
        return self

    def predict_proba(self, images: NDArray[Any], evidence_level: str = VIRTUAL) -> Array:
        """Probability of each finding, float64 (n, k), columns as `labels_`.

        Args:
            images: (n, h, w) on the scale of the training pictures.
            evidence_level: where they come from.

        Raises:
            UsageError: the network is not fitted.
            InputError: pictures that cannot be used.
            UsageError: real radiographs for a network of virtual patients.
        """
        return torch.sigmoid(self._answers(images, evidence_level)[:, : len(self.labels_)]).numpy()

    def predict_risk(self, images: NDArray[Any], evidence_level: str = VIRTUAL) -> Array:
        """The log hazard of the event, float64 (n,), higher for an earlier one.

        Raises:
            UsageError, InputError: as `predict_proba`, or the network was given no event.
        """
        self._curve()
        return self._answers(images, evidence_level)[:, -1].numpy()

    def predict(self, images: NDArray[Any], evidence_level: str = VIRTUAL) -> tuple[Array, Array | None]:
        """`predict_proba` and `predict_risk` (None without an event) for the price of one. Raises as the former."""
        answers, k = self._answers(images, evidence_level), len(self.labels_)
        return torch.sigmoid(answers[:, :k]).numpy(), None if self.curve_ is None else answers[:, -1].numpy()

    def predict_incidence(self, images: NDArray[Any], times: ArrayLike, evidence_level: str = VIRTUAL) -> Array:
        """Probability of the event by `times` (t,), float64 (n, t). Raises as `predict_risk` and `CoxHead`."""
        return self._curve().predict_incidence(
            self.predict_risk(images, evidence_level)[:, None], times, evidence_level
        )

    def score(
        self,
        images: NDArray[Any],
        labels: Mapping[str, ArrayLike],
        time: ArrayLike | None = None,
        event: ArrayLike | None = None,
        evidence_level: str = VIRTUAL,
    ) -> dict[str, float]:
        """Finding -> AUROC over the pictures whose label is known, and `event` -> Harrell's C.

        Raises:
            UsageError, InputError: as `predict_proba`, a finding it was not taught, or one class only.
        """
        truth = Endpoints.of(labels, time, event, len(images))
        probability, found = self.predict_proba(images, evidence_level), {}
        for name, column in zip(truth.names, truth.findings.T):
            if name not in self.labels_:
                raise InputError(f"this network was taught {', '.join(self.labels_) or 'no finding'}, not {name}")
            known = ~np.isnan(column)
            y, (p,) = binary(column[known], probability[known, self.labels_.index(name)])
            found[name] = float(auroc(y, p))
        if truth.time is not None and truth.event is not None:
            known = ~np.isnan(truth.time)
            found["event"] = harrell_c(
                truth.time[known], truth.event[known], self.predict_risk(images, evidence_level)[known]
            )
        return found

    def save(self, folder: str | Path) -> None:
        """Write network.safetensors, config.json with its sha256, and curve.npz if there is an event. No pickle.

        Raises:
            UsageError: the network is not fitted.
        """
        self._check_fitted()
        folder = Path(folder)
        with atomic_path(folder / "network.safetensors") as temporary:
            temporary.write_bytes(save({n: t.cpu().contiguous() for n, t in self.network_.state_dict().items()}))
        if self.curve_ is not None:
            self.curve_.save(folder / "curve.npz")
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.init and f.name != "weights"}
        learned = {"labels": self.labels_, "event": self.curve_ is not None, "training": asdict(self.training_)}
        digest = sha256(folder / "network.safetensors")
        kind = {"format": FORMAT, "version": VERSION, "sha256": digest}
        write_json(folder / "config.json", {**kind, "settings": settings, **learned})

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Self:
        """A network that `save` wrote.

        Raises:
            InputError: files are missing, damaged or not ours.
        """
        folder = Path(folder)
        path = folder / "network.safetensors"
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if (config["format"], config["version"]) != (FORMAT, VERSION):
                raise ValueError("config.json is of another format")
            if sha256(path) != config["sha256"]:
                raise ValueError("network.safetensors does not have the sha256 of config.json")
            self = cls(**{**config["settings"], "device": device})
            self.labels_, self.training_ = tuple(config["labels"]), Training(**config["training"])
            self.network_ = self._untrained(len(self.labels_) + config["event"])
            self.network_.load_state_dict(load_file(path))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{folder} is no usable supervised network ({reason}); save it again") from None
        self.network_.eval().to(pick_device(device))
        self.curve_ = CoxHead.load(folder / "curve.npz") if config["event"] else None
        return self

    def _begin(self, images: NDArray[Any], truth: Endpoints, train: Rows, mean: float, sd: float) -> MultiTaskNetwork:
        """The untrained network, the same each time; its findings begin at their prevalence."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self._untrained(len(truth.names) + (truth.time is not None), mean, sd)
        if self.weights is not None:
            load_weights(network.backbone, self.weights)
        p = torch.from_numpy(truth.take(train).prevalence())
        network.heads.bias.data.zero_()[: len(p)] = torch.logit(p).float()
        return network

    def _untrained(self, answers: int, mean: float = 0.0, sd: float = 1.0) -> MultiTaskNetwork:
        return MultiTaskNetwork(build_backbone(self.method, self.size), answers, mean, sd)

    def _named(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        begun = None if self.weights is None else sha256(Path(self.weights))
        return {"method": self.method, "size": self.size, "rate": self.rate, "weights": begun}

    def _loop(self, pictures: int) -> LoopConfig:
        """At one rate after the warm-up: a training that ends when it has learned all it can has no schedule."""
        steps, look = self.steps or UNLIMITED, max(LOOK, pictures // self.batch)
        return LoopConfig(
            steps,
            self.batch,
            self.rate,
            final_rate=1.0,
            warm_up=min(WARM_UP, steps // 10),
            weight_decay=0.05,
            log_every=look,
            check_every=look,
            save_after_s=SAVE_AFTER_S,
        )

    def _answers(self, images: NDArray[Any], evidence_level: str) -> torch.Tensor:
        self._check_fitted()
        refuse_real(f"{self.method} network", self.evidence_level, evidence_level)
        self._check_images(images)
        answers = self.network_.answers(images).double()
        if not torch.isfinite(answers).all():
            raise InputError("pictures hold NaN or infinite numbers")
        return answers

    def _check_images(self, images: NDArray[Any]) -> None:
        shape = getattr(images, "shape", ())
        if len(shape) != 3 or not all(shape):
            raise InputError(f"a network wants pictures (n, h, w), got {shape or type(images).__name__}")

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise UsageError(f"the {self.method} network is not fitted yet")

    def _curve(self) -> CoxHead:
        self._check_fitted()
        if self.curve_ is None:
            raise UsageError(f"the {self.method} network was given no times and events to learn from")
        return self.curve_


def _split(n: int, patients: ArrayLike | None, validation: ArrayLike | None, seed: int) -> tuple[Rows, Rows]:
    """Rows of the training and of the validation pictures; nobody is on both sides."""
    _, owner = np.unique(np.arange(n) if patients is None else np.asarray(patients), return_inverse=True)
    if validation is None:
        order = np.random.default_rng(seed).permutation(owner.max() + 1)
        held = np.isin(owner, order[: round(HELD_OUT * len(order))])
    else:
        held = np.asarray(validation)
    if held.shape != (n,) or held.dtype != bool or len(owner) != n:
        raise InputError(f"{n} pictures want as many patients and as many booleans that say which validate")
    if torn := len(np.intersect1d(owner[held], owner[~held])):
        raise InputError(f"{torn} patients have pictures on both sides of the split; keep each on one")
    return np.flatnonzero(~held), np.flatnonzero(held)
