"""A loaded model and what belongs to it; each study that goes through it becomes a `Result`, all in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.device import pick_device
from ..core.errors import InputError, UsageError
from ..core.evidence import VIRTUAL
from ..evaluation.baselines import Baselines, baselines_beside, load_baselines
from ..evaluation.metrics import Array
from ..evaluation.ood import OutOfDistribution, out_of_distribution, reconstruction_error
from ..io.model_folder import folder_of
from ..io.text import read_json
from ..models.adaptation import Adapter
from ..models.input_statistics import FILE, InputStatistics
from ..models.transitions.base import State
from ..models.world_model import WorldModel
from ..probing.probe import Probe, load_probes
from ..projection.geometry import STANDARD_ARC, Geometry, as_poses, preset
from ..reconstruction.reconstruct import centred_affine
from ..reporting.result import VOLUME_MM, Finding, Result, Views
from ..volume.attenuation import mu_to_hu
from ..volume.chest import Chest
from .about import versions
from .study import Given, Study, View, open_input

SAMPLES = 3  # possible chests in a result
MOST_PIXELS = 1024  # 64 times the work of 128
PROBED_FORM = "direct"  # the form of the tables that older versions of `evaluate probes` wrote, which name none


class Session:
    """A world model with its input statistics, baselines, probes and adapter.

    session = Session.open("tiny")
    result = session.analyse("chest.png", volume_size=128)
    result.predicted_p, result.volume, result.notes
    """

    def __init__(
        self,
        model: WorldModel,
        source: str | Path = "tiny",
        adapter: Adapter | None = None,
        pixels: int | None = None,
    ) -> None:
        """`source`: the model's name or folder, where what belongs to it is read from when it is first needed."""
        self.model, self.source, self.adapter = model, str(source), adapter
        self.pixels = model.size if pixels is None else pixels
        if not isinstance(self.pixels, int) or not 1 <= self.pixels <= MOST_PIXELS:
            raise UsageError(f"pixels is {pixels!r}; it must be a whole number from 1 to {MOST_PIXELS}")
        if self.pixels != model.size and (not model.transition.renders or self.pixels % model.size):
            what = f"a multiple of {model.size}" if model.transition.renders else f"{model.size} only"
            raise UsageError(f"--pixels {pixels}: the form {model.config.form} of {source} makes views of {what}")
        if self.pixels != model.size and adapter is not None:
            raise UsageError(f"--pixels {pixels}: an adapter makes views of {adapter.size} only")
        if adapter is not None and adapter.size != model.size:
            raise InputError(f"the adapter makes views of {adapter.size} px, the model {source} takes {model.size}")

    @classmethod
    def open(
        cls,
        source: str | Path = "tiny",
        form: str = "auto",
        device: str = "auto",
        adapter: str | Path | None = None,
        pixels: int | None = None,
    ) -> "Session":
        """Load a model and, if one is named, an adapter for radiographs.

        Args:
            form: see `WorldModel.from_pretrained`.
            pixels: along the side of the views; a multiple of what the model was trained on, of forms that render.

        Raises:
            InputError: as `WorldModel.from_pretrained` and `Adapter.from_pretrained`; or an adapter for views of
                another size.
            UsageError: an unknown form, a device that is not there, or so many pixels are not possible.
        """
        device = pick_device(device)
        model = WorldModel.from_pretrained(source, form=form, device=device)
        return cls(model, source, None if adapter is None else Adapter.from_pretrained(adapter, device), pixels)

    # ------------------------------------------------ what belongs to the model

    @cached_property
    def statistics(self) -> InputStatistics | None:
        """Of the training frontals, where the model's folder has them."""
        if not (folder_of(self.source) / FILE).is_file():
            return None
        found = InputStatistics.load(self.source)
        if found.geometry.size != self.model.size:
            raise InputError(
                f"{self.source}: its {FILE} is of {found.geometry.size} pixels, its V of {self.model.size}"
            )
        return found

    @property
    def geometry(self) -> Geometry:
        """How the training views were taken, in as many pixels; the preset `chest` where that is not known."""
        trained = preset("chest", self.model.size) if self.statistics is None else self.statistics.geometry
        return replace(trained, size=self.pixels)

    @cached_property
    def baselines(self) -> Baselines | None:
        """Those in the model's folder, or the packaged ones, if they are of the same geometry but for pixels."""
        found = load_baselines(baselines_beside(self.source))
        return found if replace(found.geometry, size=self.pixels) == self.geometry else None

    @cached_property
    def probes(self) -> tuple[dict[str, Probe], dict[str, Any] | None]:
        """Probes and their table in the model's folder, as `evaluate probes` wrote them."""
        folder = folder_of(self.source)
        probes, table = folder / "probes.npz", folder / "probes.json"
        if not (probes.is_file() and table.is_file()):
            return {}, None
        told = read_json(table, remedy="write it again with evaluate probes")
        if (told.get("settings") or {}).get("form", PROBED_FORM) != self.model.config.form:
            return {}, None
        return load_probes(probes), told

    # ------------------------------------------------ what is done with a study

    def study(
        self,
        given: Given,
        *,
        series: str | None = None,
        view: View = "auto",
        name: str | None = None,
        remove_couch: bool = False,
    ) -> Study:
        """What is given as a study of this model; see `study.open_input`."""
        return open_input(
            given,
            self.geometry,
            series,
            view,
            name=name,
            model=self.source,
            adapter=self.adapter,
            remove_couch=remove_couch,
        )

    def analyse(
        self,
        given: Given,
        *,
        yaw_deg: Sequence[float] | None = None,
        volume_size: int | None = None,
        settings: Mapping[str, Any] | None = None,
        series: str | None = None,
        view: View = "auto",
        name: str | None = None,
        remove_couch: bool = False,
        stage: Callable[[str], None] = lambda name: None,
    ) -> Result:
        """Predict all views of the standard arc from one view; V encodes it once.

        Args:
            given: a path, the bytes of a file, grey values (h, w) of a radiograph, a `Volume` or a `Study`.
            yaw_deg: angles that are wanted besides the standard arc (`Result.asked`).
            volume_size: voxels along each edge of the volume, which is reconstructed when it is first read.
            settings: kept in the result beside model, form and device.
            series, view, name, remove_couch: see `study.open_input`.
            stage: called with what is done next, in words; what it raises ends the work.

        Raises:
            InputError: it cannot be used, or the truth is known but the model has no mean views to measure skill
                against.
        """
        stage("reading the file")
        study = self.study(given, series=series, view=view, name=name, remove_couch=remove_couch)
        baselines_p = {} if study.volume is None else self._simple_baselines(study)
        stage("finding the chest behind the view")
        state = self.model.observe([(study.view_p, study.input_yaw_deg)])
        stage("looking from 37 angles")
        predicted_p = self.model.predict(state, STANDARD_ARC)[0]
        truth_p = study.truth_p(STANDARD_ARC)
        stage("drawing other possible chests")
        possible = self._possible_chests(study, state)
        asked = (
            None
            if yaw_deg is None
            else self._asked(study, state, predicted_p, truth_p, tuple(pose.yaw_deg for pose in as_poses(yaw_deg)))
        )
        return Result(
            name=study.name,
            source=study.source,
            evidence_level=study.evidence_level,
            geometry=study.geometry,
            form=self.model.config.form,
            input_p=study.view_p,
            predicted_p=predicted_p,
            input_yaw_deg=study.input_yaw_deg,
            samples_p=None if not possible else np.stack([self.model.predict(s, STANDARD_ARC)[0] for s in possible]),
            states=(state, *possible),
            truth_p=truth_p,
            ceiling_p=self._ceiling(study, predicted_p, truth_p),
            baselines_p=baselines_p,
            asked=asked,
            scan=study.volume,
            volume_size=volume_size,
            own_volume=None if volume_size is None else self._own_volume(state, volume_size),
            out_of_distribution=self._unlike_training(study, state),
            findings=self._findings(study, state),
            probes=self.probes[1] if study.evidence_level == VIRTUAL else None,
            settings={"model": self.source, "device": str(self.model.device), **(settings or {})},
            versions=versions(),
            notes=study.notes,
        )

    def features(self, study: Study, kind: str = "volumetric", depth: int | None = None) -> Array:
        """One vector (d,); see `WorldModel.features`."""
        return self.model.features(study.view_p[None], kind, study.input_yaw_deg, depth)[0]

    def _asked(
        self, study: Study, state: State, predicted_p: Array, truth_p: Array | None, yaw_deg: tuple[float, ...]
    ) -> Views:
        if all(yaw in STANDARD_ARC for yaw in yaw_deg):
            index = [STANDARD_ARC.index(yaw) for yaw in yaw_deg]
            return Views(yaw_deg, predicted_p[index], None if truth_p is None else truth_p[index])
        return Views(yaw_deg, self.model.predict(state, yaw_deg)[0], study.truth_p(yaw_deg))

    def _possible_chests(self, study: Study, state: State) -> list[State]:
        """Samples, of forms that render: those that write each view through V would take too long."""
        if not (self.model.transition.renders and self.model.transition.has_sampler):
            return []
        return self.model.sampled(state, torch.Generator().manual_seed(0), SAMPLES)

    def _own_volume(self, state: State, size: int) -> Chest | None:
        """The chest of a state in voxels, of the forms that keep one."""
        affine = centred_affine(size, VOLUME_MM)
        mu = self.model.volume(state, (size, size, size), affine)
        return None if mu is None else Chest(mu_to_hu(mu[0]), affine, f"the {self.model.config.form} form of M")

    def _ceiling(self, study: Study, predicted_p: Array, truth_p: Array | None) -> Array | None:
        """V's reconstruction of the truth, of the forms that predict through V; at the input's angle the prediction is
        just that."""
        if truth_p is None or self.model.transition.renders:
            return None
        other = np.array(STANDARD_ARC) != study.input_yaw_deg
        ceiling_p = predicted_p.copy()
        ceiling_p[other] = self.model.reconstruct_views(truth_p[other])
        return ceiling_p

    def _unlike_training(self, study: Study, state: State) -> OutOfDistribution | None:
        if self.statistics is None:
            return None
        view_p = mean_pooled(study.view_p, self.model.size)
        error = reconstruction_error(view_p, self.model.decode(state.observations[0].latents)[0])
        return out_of_distribution(float(error), self.statistics.error_quantiles)

    def _findings(self, study: Study, state: State) -> tuple[Finding, ...]:
        """What probes read from a virtual patient's input, beside what was planted; none of real people."""
        probes, _ = self.probes
        if study.evidence_level != VIRTUAL or not probes:
            return ()
        vectors = self.model.features(state=state)
        return tuple(
            Finding(
                label,
                float(probe.probability(vectors, study.evidence_level)[0]),
                bool(study.labels[label]) if label in study.labels else None,
            )
            for label, probe in probes.items()
        )

    def _simple_baselines(self, study: Study) -> dict[str, Array]:
        """What needs no network and no training cohort: the mean patient, and the input itself at every angle."""
        if self.baselines is None or self.geometry != study.geometry:
            raise InputError(
                f"the model {self.source} has no mean views of {study.geometry.size} pixels to be compared with; make "
                f"them with `xray2xray evaluate baselines --views STORE --source MODEL --out MODEL/baselines.npz`"
            )
        finer = self.pixels // self.baselines.geometry.size
        mean_p = (self.baselines.mean_views.astype(np.float32) / 4096).repeat(finer, axis=1).repeat(finer, axis=2)
        return {"mean_view": mean_p, "copy_input": np.broadcast_to(study.view_p, mean_p.shape)}


def mean_pooled(view: Array, size: int) -> Array:
    """A view (n, n) as the means of size x size squares; `size` divides n."""
    n = view.shape[-1] // size
    return view if n == 1 else view.reshape(size, n, size, n).mean(axis=(1, 3))
