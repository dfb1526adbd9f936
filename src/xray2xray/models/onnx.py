"""The network of the `volumetric` form as ONNX, for programs without torch; extra `[onnx]`.

What is around the network is arithmetic of `projection.lifted` and needs no torch graph: the answer, p and w, becomes a
chest with `Lifted(frustum, extended(view_p, frustum, p), w)`, and that any view or volume.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import InputError, UsageError, silent_libraries
from ..io.files import atomic_path
from ..io.model_folder import sha256
from .transitions.lifting_network import LiftingNetwork
from .world_model import WorldModel

OPSET = 18
TOLERANCE = {"w": 1e-5, "p": 1e-3}  # largest absolute difference from torch: of shares of a ray, of line integrals


class _Lift(nn.Module):
    """What `lifted` asks of the network: the mean of the answers to the view and to its mirror image."""

    def __init__(self, network: LiftingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, view_p: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.distribution(view_p, mirrored=True)


def export_onnx(model: WorldModel, path: str | Path) -> dict[str, Any]:
    """Write the lifting network and compare it with torch; what config.json shall say of the file.

    Inputs `view_p` (b, 1, size, size) float32, a PA view in line integrals; any b. Outputs `w` (b, depth, rows,
    columns), the share of each ray's line integral in each plane, sum one over depth, and `p` (b, rows, columns), line
    integrals on and beyond the detector; both are the mean over the view and its mirror image.

    Raises:
        UsageError: a form that is not `volumetric`.
        InputError: onnx, onnxscript or onnxruntime are missing; or the file does not compute what torch does, within
            `TOLERANCE` on two chests of simple shapes.
    """
    network = getattr(model.transition, "network", None)
    if not isinstance(network, LiftingNetwork):
        raise UsageError(f"--onnx is of the volumetric form; this model's is {model.config.form}")
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise InputError(f"--onnx needs {error.name}: pip install onnx onnxruntime onnxscript") from None
    lift = _Lift(copy.deepcopy(network)).eval().cpu()
    views_p = _ellipses(model.size)
    with atomic_path(path) as temporary:
        with silent_libraries("torch.onnx"):
            torch.onnx.export(
                lift,
                (views_p,),
                temporary,
                input_names=["view_p"],
                output_names=["w", "p"],
                dynamic_shapes={"view_p": {0: torch.export.Dim("batch")}},
                opset_version=OPSET,
                external_data=False,
                verbose=False,
                dynamo=True,
            )
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        off = dict.fromkeys(TOLERANCE, 0.0)
        for given in (views_p, views_p[:1]):  # any number of views
            found = session.run(list(TOLERANCE), {"view_p": given.numpy()})
            with torch.no_grad():
                for name, one, wanted in zip(TOLERANCE, found, lift(given), strict=True):
                    off[name] = max(off[name], float(np.abs(one - wanted.numpy()).max()))
        if any(off[name] > TOLERANCE[name] for name in TOLERANCE):
            raise InputError(f"the ONNX file differs from torch by {off}, more than {TOLERANCE}; report this")
    return {"sha256": sha256(Path(path)), "opset": OPSET, "largest_difference_from_torch": off}


def _ellipses(size: int) -> Tensor:
    """(2, 1, size, size): line integrals of two ellipsoids."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    views = [6 * (1 - (x / a) ** 2 - (y / b) ** 2).clamp(min=0).sqrt() for a, b in ((0.9, 0.8), (0.5, 0.7))]
    return torch.stack(views)[:, None]
