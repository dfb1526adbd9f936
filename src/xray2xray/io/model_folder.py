"""A trained model as a folder: config.json, and one safetensors file of float16 numbers for each part.

No pickles: reading a folder from a stranger runs none of their code. The sha256 of each file stands in config.json.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ..core.errors import InputError, reading
from .files import atomic_path, write_json
from .hub import hub_folder, is_hub_name
from .network import check_file, shapes_of
from .text import read_json

FORMAT, VERSION = "xray2xray-world-model", 1
TRAINING_ONLY = ("codebook.counts", "codebook.sums")  # running averages that only further training would need


def folder_of(source: str | Path) -> Path:
    """Where a model is: one that ships with the package by name, any other by its folder or its name on a hub.

    Raises:
        InputError: it does not exist; see `hub.hub_folder`.
    """
    packaged = Path(str(resources.files("xray2xray"))) / "weights" / str(source)
    # A bare name is a packaged model; a path with a slash is always a folder.
    for folder in (packaged, Path(source)) if Path(source).name == str(source) else (Path(source),):
        if (folder / "config.json").is_file():
            return folder
    if is_hub_name(source):
        return hub_folder(str(source))
    raise InputError(
        f"{source} is neither a packaged model nor a folder with a config.json; train one or check the path"
    )


def is_packaged(source: str | Path) -> bool:
    """Whether a model ships with the package. Raises as `folder_of`."""
    return folder_of(source) != Path(source)


def cohort_words(said: str, source: str | Path) -> str:
    """Whose a file beside a model is, in words; files of older versions do not say."""
    return said or ("the packaged model's virtual patients" if is_packaged(source) else "a cohort that is not named")


def read_config(folder: Path, form: str = FORMAT) -> dict[str, Any]:
    """config.json of a model's folder; `form` says which kind of model, by default a world model.

    Raises:
        InputError: it cannot be read, or is no model of this version.
    """
    path = folder / "config.json"
    config = read_json(path, "cannot be read as a model's configuration", "copy the whole model folder again")
    kind = config.get("format"), config.get("version")
    if kind != (form, VERSION):
        raise InputError(f"{path} is of format {kind}, expected {(form, VERSION)}; update xray2xray or the model")
    if not isinstance(config.get("sha256", {}), dict):
        raise InputError(f"{path}: its sha256 is no table of checksums; copy the whole model folder again")
    return config


def check_files(folder: Path) -> None:
    """Compare the files that config.json lists under `files`, those of a model that was exported, with their sha256.

    Raises:
        InputError: one is missing or another one.
    """
    listed = read_config(folder).get("files", {})
    if not isinstance(listed, dict):
        raise InputError(f"{folder / 'config.json'}: its files are no table of checksums; copy the whole folder again")
    for name, wanted in listed.items():
        inside = name == Path(name).name and name not in ("", "..")
        if not inside or not (folder / name).is_file() or sha256(folder / name) != wanted:
            raise InputError(
                f"{folder / name} does not have the sha256 that config.json gives; copy it again, or write the folder "
                "anew with xray2xray export"
            )


def write_part(
    folder: Path, part: str, module: nn.Module, notes: dict[str, Any] | None = None, form: str = FORMAT
) -> str:
    """Write one part's weights as float16 and enter it in config.json; other parts stay. Returns its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: _compact(t) for name, t in module.state_dict().items() if name not in TRAINING_ONLY}
    path = folder / f"{part}.safetensors"
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors))  # save_file would make the file private
    config: dict[str, Any] = {"format": form, "version": VERSION}
    if (folder / "config.json").exists():
        config = read_config(folder, form)
    config[part] = asdict(module.config)  # type: ignore[call-overload]
    config["sha256"] = {**config.get("sha256", {}), part: sha256(path)}
    write_json(folder / "config.json", config | (notes or {}))
    return config["sha256"][part]


def read_part(folder: Path, part: str, module: nn.Module, form: str = FORMAT) -> None:
    """Fill `module` with one part's weights, as float32.

    Raises:
        InputError: the file is missing, does not have the sha256 of config.json, or does not fit.
    """
    path = checked_path(folder, part, form)
    with reading(path, "does not fit its config.json", "copy the whole model folder again"):
        check_file(path, {name: tuple(t.shape) for name, t in module.state_dict().items()}, TRAINING_ONLY)
        tensors = {name: t.float() if t.is_floating_point() else t for name, t in load_file(path).items()}
        if not all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point()):
            raise ValueError("some weights are not finite")
        module.load_state_dict(tensors, strict=False)


def build_part(
    folder: Path, part: str, network: Callable[[Any], nn.Module], settings: type[Any], form: str = FORMAT
) -> nn.Module:
    """One part as config.json describes it, with its weights. What it asks for is compared with the file first.

    Raises:
        InputError: as `read_part`, or config.json does not describe such a network.
    """
    config, remedy = folder / "config.json", "copy the whole model folder again"
    with reading(config, f"does not describe the network {part}", remedy):
        chosen = settings(**with_tuples(read_config(folder, form)[part]))
        shapes = shapes_of(network, chosen)
    path = checked_path(folder, part, form)
    with reading(path, "does not fit its config.json", remedy):
        check_file(path, shapes, TRAINING_ONLY)
    module = network(chosen)
    read_part(folder, part, module, form)
    return module


def part_and_config(
    source: str | Path, part: str, network: Callable[[Any], nn.Module], settings: type[Any], lacking: str
) -> tuple[Any, dict[str, Any]]:
    """The one part that a packaged model or a folder is there for, and what its config.json says.

    Args:
        lacking: what is said behind "holds no" where it is not in it: its name, and how to make it.

    Raises:
        InputError: as `build_part`, or there is no such folder or part.
    """
    folder = folder_of(source)
    config = read_config(folder)
    if part not in config:
        raise InputError(f"{folder} holds no {lacking}")
    return build_part(folder, part, network, settings), config


def checked_path(folder: Path, part: str, form: str = FORMAT) -> Path:
    """The file of a part.

    Raises:
        InputError: it is missing, or does not have the sha256 of config.json.
    """
    path = folder / f"{part}.safetensors"
    if not path.is_file():
        raise InputError(f"{path} is missing; copy the whole model folder or train this part")
    if sha256(path) != read_config(folder, form).get("sha256", {}).get(part):
        raise InputError(f"{path} does not have the sha256 that config.json gives; it is damaged, copy it again")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _compact(tensor: Tensor) -> Tensor:
    compact = tensor.to(torch.float16) if tensor.is_floating_point() else tensor
    return compact.detach().cpu().contiguous()


def with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where a configuration has tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
