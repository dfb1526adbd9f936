"""A model's folder, made ready to be shared: only what belongs to the model, every file pinned, a card."""

import shutil
from pathlib import Path

from ..io.files import atomic_path, write_json, write_text
from ..io.model_folder import checked_path, folder_of, read_config, sha256
from .card import Json, model_card
from .input_statistics import FILE, PART
from .onnx import export_onnx
from .world_model import WorldModel

BESIDE = ("baselines.npz", "probes.json", "probes.npz", "README.md")
ONNX = "lifting.onnx"


def export_model(
    model: WorldModel,
    source: str | Path,
    out: Path,
    results: Json | None = None,
    licence: str | None = None,
    onnx: bool = False,
) -> None:
    """Copy the files of `source` into an empty folder, pin them in config.json and write the card.

    Args:
        model: that of `source`, already loaded, so that its files were checked.
        results: see `card.model_card`.
        onnx: also write the ONNX of the model's form; see `onnx.export_onnx`.

    Raises:
        InputError, UsageError: a part that is missing or damaged, or as `model_card` and `export_onnx`.
    """
    folder = folder_of(source)
    config = {key: value for key, value in read_config(folder).items() if key not in ("files", "onnx")}
    parts = [checked_path(folder, part).name for part in config.get("sha256", {}) if part != PART]
    for name in (*parts, FILE, *BESIDE):
        if (folder / name).is_file():
            with atomic_path(out / name) as temporary:
                shutil.copyfile(folder / name, temporary)
    if "start" in config:
        config["start"] = Path(str(config["start"])).name  # a path says more of its author's machine than it should
    if licence is not None:
        config["licence"] = licence
    if onnx:
        config["onnx"] = {ONNX: export_onnx(model, out / ONNX)}
    write_json(out / "config.json", config)
    write_text(out / "README.md", model_card(out, results))
    pinned = {name: sha256(out / name) for name in BESIDE if (out / name).is_file()}
    write_json(out / "config.json", config | {"files": pinned})
