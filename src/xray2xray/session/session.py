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
from ..core.evidence import RADIOGRAPH, VIRTUAL
from ..evaluation.baselines import Baselines, baselines_of
from ..evaluation.metrics import Array
from ..evaluation.ood import OutOfDistribution, out_of_distribution, reconstruction_error
from ..evaluation.volume_rows import own_volume
from ..io.model_folder import folder_of
from ..io.text import read_json
from ..models.adaptation import Adapter
from ..models.input_statistics import FILE, InputStatistics
from ..models.transitions.base import State
from ..models.world_model import WorldModel
from ..probing.probe import Probe, load_probes
from ..projection.geometry import STANDARD_ARC, Geometry, as_poses, preset
from ..reporting.result import Finding, Result, Views
from ..volume.chest import Chest
from .about import versions
from .study import Given, Study, View, open_input, open_lateral

READING = "reading the file"  # the first stage of a study
SAMPLES = 3  # possible chests in a result
MOST_PIXELS = 1024  # 64 times the work of 128
LATERAL_DEG = 90.0  # a left lateral, as they are hung: anterior on the left
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

    def __repr__(self) -> str:
        adapter = "" if self.adapter is None else ", with an adapter"
        return f"Session({self.source}, {self.pixels} x {self.pixels} pixels{adapter}, {self.model!r})"

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
    def baselines(self) -> Baselines:
        """Those of the model, see `baselines_of`.

        Raises:
            InputError: it has none, or they are of another geometry.
        """
        found = baselines_of(self.source)
        if replace(found.geometry, size=self.pixels) != self.geometry:
            raise InputError(
                f"{self.source}: its baselines are of the geometry {found.geometry.name}, its training views of "
                f"{self.geometry.name}; make them again with `xray2xray evaluate baselines`"
            )
        return found

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
        samples: int | None = None,
        lateral: "Given | None" = None,
        force: bool = False,
        stage: Callable[[str], None] = lambda name: None,
    ) -> Result:
        """Predict all views of the standard arc from one view, or from a frontal and a lateral radiograph.

        Args:
            given: a path, the bytes of a file, grey values (h, w) of a radiograph, a `Volume` or a `Study`.
            yaw_deg: angles that are wanted besides the standard arc (`Result.asked`).
            volume_size: voxels along each edge of the volume, which is reconstructed when it is first read.
            settings: kept in the result beside model, form and device.
            series, view, name, remove_couch: see `study.open_input`.
            samples: draw that many possible chests and keep their views; by default three, of the forms that render.
            lateral: a left lateral radiograph of the same patient, which corrects the chest (of the volumetric form).
            force: take a picture that the gate refuses.
            stage: called with what is done next, in words; what it raises ends the work.

        Raises:
            InputError: it cannot be used, the gate refuses it, or the truth is known but the model has no mean views to
                measure skill against.
            UsageError: samples that cannot be drawn, or a lateral that this form, or a CT, has no use for.
        """
        stage(READING)
        study = self.study(given, series=series, view=view, name=name, remove_couch=remove_couch)
        if study.quality is not None and study.quality.refusal and not force:
            raise InputError(f"{study.source}: {study.quality.refusal}")
        study = self.entered(study)
        baselines_p = {} if study.volume is None else self._simple_baselines(study)
        stage("finding the chest behind the view")
        state = self.model.observe([(study.view_p, study.input_yaw_deg)])
        if lateral is not None:
            study, state = self._with_lateral(study, state, lateral)
        asked_deg = None if yaw_deg is None else tuple(pose.yaw_deg for pose in as_poses(yaw_deg))
        others = () if asked_deg is None else tuple(yaw for yaw in asked_deg if yaw not in STANDARD_ARC)
        at = (*STANDARD_ARC, *others)
        stage("looking from 37 angles")
        predicted_p, truth_p = self.model.predict(state, at)[0], study.truth_p(at)
        stage("drawing other possible chests")
        possible = self._possible_chests(state, samples)
        samples_p = self._samples(state, possible, at, samples)
        asked = None
        if asked_deg is not None:
            index = [at.index(yaw) for yaw in asked_deg]
            truths, drawn = (None if p is None else p[..., index, :, :] for p in (truth_p, samples_p))
            asked = Views(asked_deg, predicted_p[index], truths, drawn)
        arc = slice(0, len(STANDARD_ARC))
        predicted_p, truth_p = predicted_p[arc], None if truth_p is None else truth_p[arc]
        samples_p = None if samples_p is None else samples_p[:, arc]
        return Result(
            name=study.name,
            source=study.source,
            evidence_level=study.evidence_level,
            geometry=study.geometry,
            form=self.model.config.form,
            input_p=study.view_p,
            predicted_p=predicted_p,
            input_yaw_deg=study.input_yaw_deg,
            samples_p=samples_p,
            keeps_samples=samples is not None,
            states=(state, *possible),
            truth_p=truth_p,
            ceiling_p=self._ceiling(study, predicted_p, truth_p),
            baselines_p=baselines_p,
            asked=asked,
            scan=study.volume,
            volume_size=volume_size,
            own_volume=None if volume_size is None else self._own_volume(state, volume_size),
            out_of_distribution=self.unlike_training(study, state),
            findings=self._findings(study, state),
            probes=self.probes[1] if study.evidence_level == VIRTUAL else None,
            settings={
                "model": self.source,
                "device": str(self.model.device),
                **self._compared_with(study),
                **(settings or {}),
            },
            versions=versions(),
            notes=study.notes,
            film_p=study.film_p,
            quality=study.quality,
        )

    def features(self, study: Study, kind: str = "volumetric", depth: int | None = None) -> Array:
        """One vector (d,); see `WorldModel.features`."""
        return self.model.features(study.view_p[None], kind, study.input_yaw_deg, depth)[0]

    def entered(self, study: Study) -> Study:
        """The study as the form takes it: an AP radiograph from the front, where the form renders, else as if PA."""
        if not study.ap:
            return study
        if self.model.transition.renders:
            return replace(study.posed, notes=(*study.notes, "AP: entered as the view from 180 degrees"))
        return replace(study, notes=(*study.notes, "AP, entered as if it were PA: the heart may be too large"))

    def _with_lateral(self, study: Study, state: State, lateral: Given) -> tuple[Study, State]:
        """The state of a frontal and a left lateral, whose grey values get the distribution of the predicted one."""
        if study.evidence_level != RADIOGRAPH:
            raise UsageError("--lateral is for radiographs: of a CT every view is rendered")
        alone_p = self.model.predict(state, [LATERAL_DEG])[0, 0]
        view_p, notes = open_lateral(lateral, alone_p)
        given = [(study.view_p, study.input_yaw_deg), (view_p, LATERAL_DEG)]
        return replace(study, notes=(*study.notes, *notes)), self.model.observe(given)

    def _possible_chests(self, state: State, samples: int | None) -> list[State]:
        """Samples of forms that draw chests; unasked, `SAMPLES` of what one view leaves open."""
        transition = self.model.transition
        if not transition.renders or (
            samples is None and not (transition.has_sampler and len(state.observations) == 1)
        ):
            return []
        return self.model.sampled(state, torch.Generator().manual_seed(0), samples or SAMPLES)

    def _samples(
        self, state: State, possible: Sequence[State], yaw_deg: Sequence[float], samples: int | None
    ) -> Array | None:
        """Views (samples, n, h, w) of the possible chests; of forms that draw views, where they are asked for."""
        if possible:
            return np.stack([self.model.predict(one, yaw_deg)[0] for one in possible])
        if samples is None:
            return None
        return self.model.sample(state, yaw_deg, torch.Generator().manual_seed(0), samples)[:, 0]

    def _own_volume(self, state: State, size: int) -> Chest | None:
        """The chest of a state in voxels, of the forms that keep one."""
        volume = own_volume(self.model, state, size)
        return None if volume is None else Chest.of(volume)

    def _ceiling(self, study: Study, predicted_p: Array, truth_p: Array | None) -> Array | None:
        """V's reconstruction of the truth, of the forms that predict through V; at the input's angle the prediction is
        just that."""
        if truth_p is None or self.model.transition.renders:
            return None
        other = np.array(STANDARD_ARC) != study.input_yaw_deg
        ceiling_p = predicted_p.copy()
        ceiling_p[other] = self.model.reconstruct_views(truth_p[other])
        return ceiling_p

    def unlike_training(self, study: Study, state: State) -> OutOfDistribution | None:
        """How badly V reconstructs the given view; None where the training distribution is not known."""
        if self.statistics is None:
            return None
        view_p, latents = mean_pooled(study.view_p, self.model.size), state.observations[0].latents
        if study.input_yaw_deg:  # from the front: V knows frontals as they are hung
            view_p = np.ascontiguousarray(view_p[:, ::-1])
            latents = self.model.encode(view_p)[0]
        error = reconstruction_error(view_p, self.model.decode(latents)[0])
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

    def _compared_with(self, study: Study) -> dict[str, str]:
        """Whose views the numbers of a study rest on: those of its grey values, of its novelty, of its skill."""
        statistics = {} if self.statistics is None else {"input_statistics": self.statistics.cohort}
        return statistics if study.volume is None else {**statistics, "baselines": self.baselines.cohort}

    def _simple_baselines(self, study: Study) -> dict[str, Array]:
        """What needs no network and no training cohort: the mean patient, and the input itself at every angle."""
        if self.geometry != study.geometry:
            raise InputError(f"the study's views are of another geometry than those of the model {self.source}")
        finer = self.pixels // self.baselines.geometry.size
        mean_p = (self.baselines.mean_views.astype(np.float32) / 4096).repeat(finer, axis=1).repeat(finer, axis=2)
        return {"mean_view": mean_p, "copy_input": np.broadcast_to(study.view_p, mean_p.shape)}


def mean_pooled(view: Array, size: int) -> Array:
    """A view (n, n) as the means of size x size squares; `size` divides n."""
    n = view.shape[-1] // size
    return view if n == 1 else view.reshape(size, n, size, n).mean(axis=(1, 3))
