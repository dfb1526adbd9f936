"""A trained `PosedTransition` as a file: safetensors, its settings in the header, float32, no pickle."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ...core.errors import InputError
from ...io.files import atomic_path
from .posed import PosedConfig, PosedTransition

NAME = "posed.safetensors"


def write_posed(folder: Path, model: PosedTransition, given_yaw_deg: float) -> None:
    """Write folder/posed.safetensors. It holds the training pictures: share it as you would share them."""
    settings = {"config": asdict(model.config), "given_yaw_deg": given_yaw_deg}
    with atomic_path(folder / NAME) as temporary:
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, temporary, {"posed": json.dumps(settings)})


def read_transition(folder: str | Path) -> tuple[PosedTransition, float]:
    """The model of a folder that `train_posed` wrote, and the angle of the view it wants to be given.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = Path(folder) / NAME
    try:
        with safe_open(path, "pt") as file:
            settings = json.loads(file.metadata()["posed"])
        tensors = load_file(path)
        model = PosedTransition(PosedConfig(**settings["config"]), pairs=len(tensors["yaw_deg"]))
        model.load_state_dict(tensors)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as a model of posed views ({error})") from None
    return model.eval(), float(settings["given_yaw_deg"])
