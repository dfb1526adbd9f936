"""A world model's expected views as a layer of torch, for losses on views that were never taken."""

from torch import Tensor, nn

from ..core.errors import InputError
from ..projection.geometry import STANDARD_ARC, Pose, Poses, as_poses
from .world_model import WorldModel


class ViewPredictor(nn.Module):
    """Views (b, h, w) of line integrals p to the expected views (b, t, h, w), with gradients.

    Of the volumetric form the gradient is exact but for float32: through the network, and through the projector by its
    transpose. Of the direct form it runs through V and M. The autoregressive form has none. Weights are those of the
    model itself and need no gradients; `requires_grad_(True)` asks for them.

    Args:
        model: whose vision model and transition model are used.
        yaw_deg: t angles or poses of the views.
        input_yaw_deg: where the given views were taken; 0 is PA.
    """

    def __init__(self, model: WorldModel, yaw_deg: Poses = STANDARD_ARC, input_yaw_deg: Pose | float = 0.0) -> None:
        super().__init__()
        self.vision, self.transition = model.vision, model.transition
        self.poses, (self.input_pose,) = as_poses(yaw_deg), as_poses([input_yaw_deg])

    def forward(self, view_p: Tensor) -> Tensor:
        """The expected views.

        Raises:
            InputError: no floating-point tensor (b, h, w) of the model's size (or a multiple, of forms that render).
            UsageError: a form or a pose without gradients.
        """
        size, side = self.vision.config.size, view_p.shape[-1] if view_p.ndim == 3 else 0
        fits = side == size or (self.transition.renders and side and side % size == 0)
        if not (fits and view_p.shape[1] == side and view_p.is_floating_point()):
            raise InputError(
                f"views (b, {size}, {size}) of floating-point numbers are wanted, got {tuple(view_p.shape)}"
            )
        return self.transition.imagined(view_p, self.input_pose, self.poses, self.vision)

    def extra_repr(self) -> str:
        return f"{len(self.poses)} views"
