"""What is known of one study after its views were predicted: verbs, report and viewers all read this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..evaluation.metrics import Array, unit
from ..evaluation.ood import OutOfDistribution
from ..evaluation.scoring import Cohort, Summary, score, summarise
from ..evaluation.volumes import resample, volume_scores
from ..models.gate import Quality
from ..models.transitions.base import State
from ..projection.geometry import STANDARD_ARC, Geometry
from ..reconstruction.reconstruct import reconstruct
from ..volume.chest import Chest
from ..volume.volume import Volume

VOLUME_VOXELS = 128
V_CEILING = "v_ceiling"
SAMPLE = "sample"


@dataclass(frozen=True)
class Finding:
    """What a probe reads from the input, beside what was planted in a virtual patient."""

    label: str
    probability: float
    planted: bool | None = None


@dataclass(frozen=True, eq=False)
class Views:
    """Views at the angles that were asked for, float32 (n, h, w) line integrals; of samples (samples, n, h, w)."""

    yaw_deg: tuple[float, ...]
    predicted_p: Array
    truth_p: Array | None = None
    samples_p: Array | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """Views of the standard arc as line integrals (37, h, w), and what follows from them, computed when first read.

    Attributes:
        name: the case, such as `thorax-1000000`; never a patient's name.
        source: what was given.
        evidence_level: virtual patient, rendered from real CT, or real radiograph.
        geometry: how the views are taken.
        form: the form of M that predicted.
        input_p: (h, w), the given view, taken at `input_yaw_deg`.
        predicted_p: predicted views; at the input's angle the input, as the form keeps it.
        samples_p: (samples, 37, h, w), views of possible chests, sharper and less near to the truth than the expected
            ones, of the forms that render and can sample; `keeps_samples`: they were asked for, and are written.
        states: what the form of M keeps of the input, and of each sample: views from further poses come of them.
        truth_p: rendered from the scan, where there is one.
        ceiling_p: V's reconstruction of the truth, which a form that predicts through V cannot be expected to exceed.
        baselines_p: simple predictions by name; where the truth is known `mean_view`, the zero of R2, is one.
        asked: the views at the angles that were asked for by name, if any were.
        film_p: the given radiograph as it is, where an adapter made `input_p` of it.
        quality: what the gate says of a radiograph.
        scan: the study's scan, where there is one.
        volume_size: voxels along each edge of the cube of 384 mm about the isocentre; None for no volume.
        own_volume: the volume that the form of M predicted, of the forms that do; else it is reconstructed from views.
        out_of_distribution: how unlike the training frontals the input is, where their distribution is known.
        findings: what probes read from the input.
        probes: the content of the model's probes.json.
        settings: name -> value, shown and kept as they are.
        notes: sentences, such as that the grey scale is uncalibrated.
    """

    name: str
    source: str
    evidence_level: str
    geometry: Geometry
    form: str
    input_p: Array
    predicted_p: Array
    input_yaw_deg: float = 0.0
    samples_p: Array | None = None
    keeps_samples: bool = False
    states: tuple[State, ...] = ()
    truth_p: Array | None = None
    ceiling_p: Array | None = None
    baselines_p: Mapping[str, Array] = field(default_factory=dict)
    asked: Views | None = None
    film_p: Array | None = None
    quality: Quality | None = None
    scan: Chest | None = None
    volume_size: int | None = None
    own_volume: Chest | None = None
    out_of_distribution: OutOfDistribution | None = None
    findings: tuple[Finding, ...] = ()
    probes: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        angles, size = len(self.predicted_p), self.predicted_p.shape[-1]
        truth = "no truth" if self.truth_p is None else "truth known"
        return f"Result({self.name}, {self.evidence_level}, {angles} views of {size} x {size} by {self.form}, {truth})"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a reader must know first, such as that this may be no frontal."""
        return () if self.quality is None else self.quality.warnings or (self.quality.words,)

    @property
    def shown_p(self) -> Array:
        """The given view as a reader hangs it: the user's own film, and one from the front turned round."""
        given = self.input_p if self.film_p is None else self.film_p
        return given[:, ::-1] if abs(self.input_yaw_deg) == 180 else given

    @property
    def predictions_p(self) -> dict[str, Array]:
        """What the form predicted, by name: its expected views, and those of possible chests."""
        samples = () if self.samples_p is None else self.samples_p
        return {self.form: self.predicted_p} | {f"{SAMPLE}_{n}": views_p for n, views_p in enumerate(samples, 1)}

    @cached_property
    def volume(self) -> Chest | None:
        """Predicted, or reconstructed from the predicted views; its RAS origin is the isocentre."""
        return self._reconstructed(self.predicted_p) if self.own_volume is None else self.own_volume

    @cached_property
    def ceiling_volume(self) -> Chest | None:
        """Reconstructed from the true views: what 37 of them tell."""
        return self._reconstructed(self.truth_p)

    @cached_property
    def true_volume(self) -> Chest | None:
        """The scan on the grid of the reconstruction."""
        if self.volume is None or self.scan is None:
            return None
        return Chest.of(resample(self.scan, self.volume, self.scan.isocentre_mm))

    @property
    def volume_in_patient(self) -> Volume | None:
        """The volume, its isocentre moved to where the patient's is in the scan."""
        if self.volume is None or self.scan is None:
            return self.volume
        affine = self.volume.affine.copy()
        affine[:3, 3] += self.scan.isocentre_mm
        return Volume(self.volume.hu, affine, self.volume.source)

    @cached_property
    def scores(self) -> Summary | None:
        """Scores of the predicted views in the layout of views.json; None where no truth is known.

        Raises:
            ValueError: the truth is known but the mean view is not among the baselines.
        """
        if self.truth_p is None:
            return None
        if "mean_view" not in self.baselines_p:
            raise ValueError("a result with truth needs the mean_view baseline: skill is measured against it")
        truth = unit(self.truth_p)[None]
        models = {self.form: self.predicted_p} | ({} if self.ceiling_p is None else {V_CEILING: self.ceiling_p})
        predicted, simple = (
            {name: score(unit(views)[None], truth) for name, views in group.items()}
            for group in (models, self.baselines_p)
        )
        case = ([self.name], [self.evidence_level])
        return summarise(Cohort(STANDARD_ARC, self.input_yaw_deg, *case, predicted, simple))

    @cached_property
    def volume_scores(self) -> dict[str, Any] | None:
        """How far the volume is from the scan (`evaluation.volumes.volume_scores`)."""
        return self._compared(self.volume)

    @cached_property
    def ceiling_scores(self) -> dict[str, Any] | None:
        """How far the volume from the true views is from the scan."""
        return self._compared(self.ceiling_volume)

    def _reconstructed(self, views_p: Array | None) -> Chest | None:
        if self.volume_size is None or views_p is None:
            return None
        return Chest.of(reconstruct(views_p, self.geometry, STANDARD_ARC, self.volume_size, show_progress=False).volume)

    def _compared(self, volume: Volume | None) -> dict[str, Any] | None:
        return None if volume is None or self.true_volume is None else volume_scores(volume, self.true_volume)
