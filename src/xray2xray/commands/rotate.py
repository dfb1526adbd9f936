from dataclasses import dataclass
from pathlib import Path

from .options import Angles, Form, Inputs, View, as_angles
from .registry import as_function
from .studies import StudiesResult, analyse_each


@dataclass(frozen=True)
class Options:
    """Predict the views of a chest from other angles, from one radiograph or from a CT's frontal alone.

    Of a CT the frontal is rendered, all other angles are predicted from that one view and compared with the truth. Of a
    radiograph nothing else is known: its grey values are uncalibrated, and a score says how unlike the training views
    it is. Writes views.npz (line integrals), views.png, views.gif, report.html and report.json; a subfolder for each of
    several inputs. An input that cannot be used is named, listed in failed.csv and left out; the exit
    code is 1 only if all fail.

    Attributes:
        inputs: frontal chest radiographs (PNG, JPEG, TIFF, WebP, DICOM), chest CTs (NIfTI, NRRD, MetaImage, folder or
            zip of DICOM), or CSV tables with a column image, path or volume; of a folder of NIfTI files or radiographs
            each is meant.
        out: the output folder.
        yaw_deg: angles for views.npz and, if given, for a picture each; 0 is PA, 90 left lateral, -90 right lateral.
        form: the form of M that predicts: volumetric, direct, autoregressive (multiples of 5 degrees only), or auto,
            the first that the model has.
        source: the model: tiny, or a folder that `train` made.
        view: how radiographs were taken: pa, ap, or auto (a table or a DICOM header says; else PA is assumed).
        adapter: bring radiographs into the simulated domain with it: cyclegan, or a folder that
            `python -m xray2xray.experiments.adaptation.train` made.
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        remove_couch: replace a CT's couch, cushions and sheets by air first: no frontal shows where they are.
        pixels: along each side of a view: the model's, or a multiple (of the volumetric form).
        samples: draw that many possible chests: their views, and where they differ, are in views.npz.
        lateral: a left lateral radiograph of the same patient; of one input, with the volumetric form.
        force: take a picture that the gate refuses (not a frontal chest, or not upright).
        device: auto, cpu, or cuda (gpu is the same).
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs
    out: str | Path
    yaw_deg: Angles = ("all",)
    form: Form = "auto"
    source: str | Path = "tiny"
    view: View = "auto"
    adapter: str | Path | None = None
    series: str | None = None
    remove_couch: bool = False
    pixels: int | None = None
    samples: int | None = None
    lateral: str | Path | None = None
    force: bool = False
    device: str = "auto"
    overwrite: bool = False


def run(options: Options) -> StudiesResult:
    return analyse_each(options, yaw_deg=as_angles(options.yaw_deg))


rotate = as_function(Options, run)
