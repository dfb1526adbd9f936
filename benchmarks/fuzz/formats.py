"""The good inputs of every format, how each is changed, and the command that reads it.

A format is one function: it writes good inputs (files or folders) into a folder, and `a_format` says the rest.
"""

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import nibabel as nib
import numpy as np
import pydicom
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from xray2xray.io.model_folder import sha256

from .child import PLANTED
from .mutate import (
    Mutator,
    content,
    dicom_elements,
    flipped,
    json_values,
    nifti_fields,
    revalued,
    safetensors_header,
    unpacked,
    worded,
    zip_members,
)

Command = Callable[[Path, Path], list[str]]  # (input, kit) -> words, without --out


@dataclass(frozen=True)
class Format:
    """`seeds` writes good inputs; of a folder that it writes, one file or all alike are changed by one mutator."""

    name: str
    seeds: Callable[[Path], None]
    mutators: tuple[Mutator, ...]
    command: Command

    def mutate(self, rng: Random, path: Path) -> None:
        """Change an input in place: one file of a folder, or now and then all of them in the same way."""
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        if len(files) > 1 and rng.random() < 0.7:
            files = [rng.choice(files)]
        mutator, seed = rng.choice(self.mutators), rng.random()
        for file in files:
            try:
                mutator(Random(seed), file)
            except Exception:  # a file that this mutator is not for
                content(flipped)(Random(seed), file)


FORMATS: dict[str, Format] = {}


def a_format(
    *mutators: Mutator, command: Command | None = None
) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Enter a function that writes good inputs as a format; bytes are flipped in any."""

    def enter(seeds: Callable[[Path], None]) -> Callable[[Path], None]:
        FORMATS[seeds.__name__] = Format(seeds.__name__, seeds, (content(flipped), *mutators), command or embed)
        return seeds

    return enter


def embed(path: Path, kit: Path) -> list[str]:
    """Reads the input and runs the model once: the shortest way through everything."""
    return ["embed", str(path), "--source", str(kit / "model")]


def rotate(path: Path, kit: Path) -> list[str]:
    """The whole way, with its report."""
    return ["rotate", str(path), "--source", str(kit / "model"), "--yaw-deg", "0", "90"]


# ---------------------------------------------------------------- scans


def scan(mm: float = 14.0) -> tuple[np.ndarray, np.ndarray]:
    """HU (x, y, z) of an elliptic trunk with two lungs and a spine, and its affine; coarse, so that it is read fast."""
    shape = np.rint(np.array((400.0, 320.0, 280.0)) / mm).astype(int)
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = -(shape - 1) / 2 * mm
    x, y, z = np.meshgrid(*(affine[i, 3] + mm * np.arange(shape[i]) for i in range(3)), indexing="ij")
    hu = np.full(shape, -1000.0)
    hu[(x / 160) ** 2 + (y / 110) ** 2 <= 1] = 40
    hu[((np.abs(x) - 70) / 55) ** 2 + (y / 80) ** 2 + (z / 100) ** 2 <= 1] = -850
    hu[x**2 + (y + 85) ** 2 <= 15**2] = 500
    return hu, affine


@a_format(content(unpacked(nifti_fields)), content(unpacked(flipped)))
def nifti(folder: Path) -> None:
    hu, affine = scan()
    for kind in ("int16", "float32", "uint8"):
        stored = (hu / 16 + 64) if kind == "uint8" else hu
        image = nib.Nifti1Image(stored.astype(kind), affine)
        image.header["descrip"] = image.header["aux_file"] = PLANTED
        if kind == "uint8":
            image.header.set_slope_inter(16, -1024)
        nib.save(image, folder / f"{kind}.nii")
        (folder / f"{kind}.nii.gz").write_bytes(gzip.compress((folder / f"{kind}.nii").read_bytes(), 1, mtime=0))


def dicom_image(storage: str, syntax: str, pixels: np.ndarray, **elements: object) -> FileDataset:
    """One image (rows, columns[, 3]) with planted names; `elements` by keyword replace what is set here."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(storage), UID(syntax)
    meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{elements.get('InstanceNumber', 0)}")
    image = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    image.SOPClassUID, image.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    image.PatientName = image.PatientID = image.InstitutionName = image.StudyDescription = f"{PLANTED}^X"
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.4", "1.2.5"
    image.PatientBirthDate, image.StudyDate = "19010203", "20200101"
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel = 1 if pixels.ndim == 2 else pixels.shape[2]
    image.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    image.BitsAllocated = image.BitsStored = 8 * pixels.dtype.itemsize
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, 0
    image.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


def ct_series(folder: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    """`scan` as a folder of axial images."""
    folder.mkdir()
    hu, affine = scan()
    step = float(affine[2, 2])
    for k in range(hu.shape[2]):
        corner = affine @ [hu.shape[0] - 1, hu.shape[1] - 1, k, 1]
        image = dicom_image(
            CTImageStorage,
            syntax,
            (hu[::-1, ::-1, k].T + 1024).astype(np.uint16),
            InstanceNumber=k,
            Modality="CT",
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            ImagePositionPatient=[-float(corner[0]), -float(corner[1]), float(corner[2])],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[step, step],
            RescaleSlope=1,
            RescaleIntercept=-1024,
        )
        pydicom.dcmwrite(folder / f"{k:02d}.dcm", image)


@a_format(dicom_elements, dicom_elements)
def dicom_ct(folder: Path) -> None:
    ct_series(folder / "explicit", ExplicitVRLittleEndian)
    ct_series(folder / "implicit", ImplicitVRLittleEndian)
    ct_series(folder / "deflated", DeflatedExplicitVRLittleEndian)


@a_format(zip_members, zip_members)
def dicom_zip(folder: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        ct_series(folder / "series", ExplicitVRLittleEndian)
        with zipfile.ZipFile(folder / f"{method}.zip", "w", method) as archive:
            for file in sorted((folder / "series").iterdir()):
                archive.writestr(zipfile.ZipInfo(f"series/{file.name}"), file.read_bytes(), method)
        shutil.rmtree(folder / "series")


@a_format(content(worded))
def nrrd(folder: Path) -> None:
    hu, _ = scan()
    fields = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {' '.join(map(str, hu.shape))}\nspace directions: (-14,0,0) (0,-14,0) (0,0,14)\n"
        "space origin: (190,150,-130)\nendian: little\nencoding: {}\nkinds: domain domain domain\n\n"
    )
    data = hu.astype("<i2").tobytes(order="F")
    (folder / "raw.nrrd").write_bytes(fields.format("raw").encode() + data)
    (folder / "gzip.nrrd").write_bytes(fields.format("gzip").encode() + gzip.compress(data, 1, mtime=0))


@a_format(content(worded))
def mha(folder: Path) -> None:
    hu, _ = scan()
    fields = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        "TransformMatrix = -1 0 0 0 -1 0 0 0 1\nOffset = 190 150 -130\nElementSpacing = 14 14 14\n"
        f"DimSize = {' '.join(map(str, hu.shape))}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    (folder / "scan.mha").write_bytes(fields.encode() + hu.astype("<i2").tobytes(order="F"))


# ---------------------------------------------------------------- radiographs


def frontal() -> np.ndarray:
    """float32 (96, 80) in 0..1: a bright trunk with dark lungs on a dark ground."""
    y, x = np.mgrid[-1:1:96j, -1:1:80j]
    body = np.exp(-((x / 0.8) ** 6) - (y / 1.1) ** 6)
    lungs = np.exp(-(((np.abs(x) - 0.4) / 0.22) ** 2) - (y / 0.55) ** 4)
    return np.clip(body * (0.85 - 0.6 * lungs), 0, 1).astype(np.float32)


@a_format(dicom_elements, dicom_elements)
def dicom_radiograph(folder: Path) -> None:
    gray = (4095 * frontal()).astype(np.uint16)
    gray8 = (255 * frontal()).astype(np.uint8)
    kind, also = DigitalXRayImageStorageForPresentation, {"Modality": "DX", "ViewPosition": "PA"}
    plain = dicom_image(kind, ExplicitVRLittleEndian, gray, WindowCenter=2048, WindowWidth=4096, BitsStored=12, **also)
    plain.HighBit, plain.PatientOrientation = 11, ["L", "F"]
    pydicom.dcmwrite(folder / "plain.dcm", plain)
    colour = dicom_image(kind, ExplicitVRLittleEndian, np.repeat(gray8[..., None], 3, 2), PlanarConfiguration=0, **also)
    pydicom.dcmwrite(folder / "colour.dcm", colour)
    packed = dicom_image(kind, ExplicitVRLittleEndian, gray, PhotometricInterpretation="MONOCHROME1", **also)
    packed.compress(RLELossless, generate_instance_uid=False)
    pydicom.dcmwrite(folder / "rle.dcm", packed)
    for syntax, name in ((JPEGBaseline8Bit, "jpeg"), (JPEG2000Lossless, "jpeg2000")):
        stream, settings = io.BytesIO(), {"no_jp2": True} if name == "jpeg2000" else {}
        Image.fromarray(gray8).save(stream, name.upper(), **settings)
        image = dicom_image(kind, syntax, gray8, **also)
        image.PixelData = encapsulate([stream.getvalue()])
        image["PixelData"].is_undefined_length = True
        pydicom.dcmwrite(folder / f"{name}.dcm", image)


@a_format(command=embed)
def picture(folder: Path) -> None:
    gray, text = frontal(), PngInfo()
    text.add_text("Patient", PLANTED)
    gray8 = Image.fromarray((255 * gray).astype(np.uint8))
    gray8.save(folder / "gray.png", pnginfo=text)
    Image.fromarray((65535 * gray).astype(np.uint16)).save(folder / "deep.png")
    gray8.convert("P").save(folder / "palette.png")
    gray8.convert("RGB").save(folder / "colour.jpg", comment=PLANTED)
    gray8.convert("CMYK").save(folder / "cmyk.jpg")
    gray8.save(folder / "progressive.jpeg", progressive=True)
    gray8.save(folder / "packed.tif", compression="tiff_lzw")
    Image.fromarray((65535 * gray).astype(np.uint16)).save(folder / "deep.tiff")
    gray8.convert("RGB").save(folder / "colour.webp", lossless=True)


FORMATS["report"] = Format("report", picture, (content(flipped),), rotate)


# ---------------------------------------------------------------- models and training


def _reseal(path: Path) -> None:
    """Make the checksums in config.json right again, as whoever makes a file up would."""
    config = json.loads((path / "config.json").read_text())
    for part in config["sha256"]:
        for name in (f"{part}.safetensors", f"{part}.json"):
            if (path / name).is_file():
                config["sha256"][part] = sha256(path / name)
    (path / "config.json").write_text(json.dumps(config))


def _resealed(mutator: Mutator) -> Mutator:
    def changed(rng: Random, path: Path) -> None:
        mutator(rng, path)
        _reseal(path.parent)

    return changed


def _with_model(path: Path, kit: Path) -> list[str]:
    return ["rotate", str(kit / "ct.nii.gz"), "--source", str(path), "--yaw-deg", "0"]


_MODEL = (content(json_values), content(safetensors_header), content(flipped), zip_members, content(worded))


@a_format(*_MODEL, *map(_resealed, _MODEL), command=_with_model)
def model(folder: Path) -> None:
    shutil.copytree(folder.parent.parent / "kit" / "model", folder / "model")


@a_format(zip_members, content(json_values), content(worded))
def view_store(folder: Path) -> None:
    shutil.copytree(folder.parent.parent / "kit" / "views", folder / "views")


def _resume(path: Path, kit: Path) -> list[str]:
    """The checkpoint goes into a copy of the run, which the command changes."""
    run = path.with_name("run")
    shutil.copytree(kit / "run", run)
    shutil.move(path, run / "vision" / "checkpoint.pt")
    words = ["train", "--views", str(kit / "views"), "--stage", "vision", "--recipe", str(kit / "recipe.yaml")]
    return [*words, "--resume", "--out", str(run)]


def _state(rng: Random, path: Path) -> None:
    """A checkpoint whose tensors and values are changed, and which is whole."""
    import torch

    state = revalued(rng, torch.load(path, weights_only=True))
    torch.save(state, path)


@a_format(zip_members, _state, _state, command=_resume)
def checkpoint(folder: Path) -> None:
    shutil.copy(folder.parent.parent / "kit" / "run" / "vision" / "checkpoint.pt", folder / "checkpoint.pt")


def _yaml_values(rng: Random, data: bytes) -> bytes:
    return yaml.safe_dump(revalued(rng, yaml.safe_load(data))).encode()


def _train(path: Path, kit: Path) -> list[str]:
    return ["train", "--views", str(kit / "views"), "--stage", "vision", "--steps", "1", "--recipe", str(path)]


@a_format(content(worded), content(_yaml_values), content(_yaml_values), command=_train)
def recipe(folder: Path) -> None:
    shutil.copy(folder.parent.parent / "kit" / "recipe.yaml", folder / "recipe.yaml")


@a_format(content(worded), content(_yaml_values), command=lambda path, kit: ["rotate", "--config", str(path)])
def settings(folder: Path) -> None:
    kit = folder.parent.parent / "kit"
    options = {"inputs": [str(kit / "chest.png")], "yaw_deg": [0, 90.0], "source": str(kit / "model"), "view": "ap"}
    (folder / "config.yaml").write_text(yaml.safe_dump(options))


# ---------------------------------------------------------------- tables


def _pictures(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        gray = np.roll(frontal(), 7 * number, axis=number % 2)
        Image.fromarray((255 * gray).astype(np.uint8)).save(folder / name)


def _cohort(kind: str) -> Command:
    def command(path: Path, kit: Path) -> list[str]:
        table = path / "table.csv" if kind == "csv" else path
        return ["cohort", str(table), "--kind", kind, "--workers", "1"]

    return command


@a_format(content(worded), content(worded), command=_cohort("csv"))
def table(folder: Path) -> None:
    """Only the table stands to be changed; a path that is cut leads to a small folder, not to all of /tmp."""
    place = folder / "cohort"
    place.mkdir()
    (place / "table.csv").write_text(
        "study,patient,path,view,split,edema,event,time_years\n"
        + "".join(
            f"s{i},p{i},../../kit/pictures/{i}.png,PA,{'train' if i < 2 else 'test'},{i % 2},{i % 2},{i}.5\n"
            for i in range(4)
        )
    )


@a_format(content(worded), content(worded), command=lambda path, kit: embed(path, kit))
def listing(folder: Path) -> None:
    (folder / "list.csv").write_text(
        "image,study,view\n" + "".join(f"../kit/pictures/{i}.png,s{i},pa\n" for i in range(3))
    )


@a_format(content(worded), command=_cohort("nih"))
def nih(folder: Path) -> None:
    place = folder / "nih"
    _pictures(place / "images", [f"{i:08d}_000.png" for i in range(3)])
    (place / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
        + "".join(f"{i:08d}_000.png,{'Edema|Mass' if i else 'No Finding'},0,{i},50,F,PA\n" for i in range(3))
    )
    (place / "train_val_list.txt").write_text("00000000_000.png\n00000001_000.png\n")
    (place / "test_list.txt").write_text("00000002_000.png\n")


@a_format(content(worded), command=_cohort("chexpert"))
def chexpert(folder: Path) -> None:
    from xray2xray.data.cohorts.labels import CHEXPERT_LABELS

    place = folder / "chexpert"
    names = [f"train/patient{i:05d}/study1/view1_frontal.jpg" for i in range(3)]
    _pictures(place, names)
    (place / "train.csv").write_text(
        f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(CHEXPERT_LABELS)}\n"
        + "".join(f"CheXpert-v1.0-small/{name},F,50,Frontal,AP{',1,0,-1,'.ljust(17, ',')}\n" for name in names)
    )


@a_format(dicom_elements, command=_cohort("lidc"))
def lidc(folder: Path) -> None:
    ct_series(folder / "series", ExplicitVRLittleEndian)
    gray = (255 * frontal()).astype(np.uint8)
    for place, files in (("p1/study/ct", sorted((folder / "series").iterdir())[:2]), ("p2/study/dx", [])):
        (folder / "lidc" / place).mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder / "lidc" / place / file.name)
    radiograph = dicom_image(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, gray, Modality="DX")
    radiograph.PatientID, radiograph.ViewPosition = "LIDC-IDRI-0002", "PA"
    pydicom.dcmwrite(folder / "lidc" / "p2/study/dx" / "1.dcm", radiograph)
    for file in (folder / "lidc" / "p1/study/ct").iterdir():
        image = pydicom.dcmread(file)
        image.PatientID = "LIDC-IDRI-0001"
        image.save_as(file)
    shutil.rmtree(folder / "series")


def beside(kit: Path) -> None:
    """Good inputs that stay as they are, for commands that read another file as well."""
    _pictures(kit / "pictures", [f"{i}.png" for i in range(4)])
    _pictures(kit, ["chest.png"])
    hu, affine = scan()
    nib.save(nib.Nifti1Image(hu.astype(np.int16), affine), kit / "ct.nii.gz")
