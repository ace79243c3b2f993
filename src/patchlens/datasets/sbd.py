"""MATLAB files, including those of SBD, Semantic Boundaries (Hariharan et al., ICCV 2011)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchlens.errors import said


def read_mat(path: Path, **options: Any) -> dict[str, Any]:
    """The variables of a MATLAB file; `options` are those of scipy's `loadmat`.

    Raises:
        ValueError: it cannot be read; the reason is one line.
    """
    from scipy.io import loadmat  # slow to import, and few datasets need it

    try:
        content: dict[str, Any] = loadmat(path, **options)
    except Exception as error:  # a broken file can raise any exception
        raise ValueError(said(error)) from None
    return content


def read_segmentation(path: Path) -> NDArray[np.int64]:
    """`GTcls.Segmentation` [H, W] of a file in `cls/`: 0 is background, 1 to 20 the classes of VOC.

    Raises:
        ValueError: it is not a MATLAB file of SBD.
    """
    content = read_mat(path, variable_names=["GTcls"], squeeze_me=True, struct_as_record=False)
    try:
        return np.asarray(content["GTcls"].Segmentation, dtype=np.int64)
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"it has no GTcls.Segmentation of SBD: {said(error)}") from None
