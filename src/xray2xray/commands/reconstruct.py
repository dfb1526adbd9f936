from dataclasses import dataclass
from pathlib import Path

from .options import Form, Inputs, View, at_least
from .registry import as_function
from .studies import StudiesResult, analyse_each


@dataclass(frozen=True)
class Options:
    """Reconstruct a volume in HU from one radiograph, or from a CT's frontal alone.

    All that `rotate` does, and a volume from the predicted views: volume.nii.gz, of a CT in the CT's own coordinates so
    that the two can be overlaid. Where the truth is known, report.json says how far the volume is from it and how far
    one is that is reconstructed from the true views. An estimate of anatomy, never a CT.

    Attributes:
        inputs: frontal chest radiographs (PNG, JPEG, TIFF, WebP, DICOM), chest CTs (NIfTI, NRRD, MetaImage, folder or
            zip of DICOM), or CSV tables with a column image, path or volume; of a folder of NIfTI files or radiographs
            each is meant.
        out: the output folder.
        size: voxels along each edge of the cube of 384 mm.
        form: the form of M that predicts: volumetric, direct, autoregressive, or auto, the first that
            the model has.
        source: the model: tiny, or a folder that `train` made.
        view: how radiographs were taken: pa, ap, or auto (a table or a DICOM header says; else PA is assumed).
        adapter: bring radiographs into the simulated domain with it: cyclegan, or a folder that
            `python -m xray2xray.experiments.adaptation.train` made.
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        remove_couch: replace a CT's couch, cushions and sheets by air first: no frontal shows where they are.
        pixels: along each side of a view: the model's, or a multiple (of the volumetric form).
        dicom: write the volume as a DICOM series too (folder volume-dicom): new UIDs, no patient.
        samples: draw that many possible chests: their views, and where they differ, are in views.npz.
        lateral: a left lateral radiograph of the same patient; of one input, with the volumetric form.
        force: take a picture that the gate refuses (not a frontal chest, or not upright).
        device: auto, cpu, or cuda (gpu is the same).
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs
    out: str | Path
    size: int = 128
    form: Form = "auto"
    source: str | Path = "tiny"
    view: View = "auto"
    adapter: str | Path | None = None
    series: str | None = None
    remove_couch: bool = False
    pixels: int | None = None
    dicom: bool = False
    samples: int | None = None
    lateral: str | Path | None = None
    force: bool = False
    device: str = "auto"
    overwrite: bool = False


def run(options: Options) -> StudiesResult:
    at_least(16, size=options.size)
    return analyse_each(options, size=options.size, dicom=options.dicom)


reconstruct = as_function(Options, run)
