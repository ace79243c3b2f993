"""Label files of SBD, the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_segmentation(path: Path) -> NDArray[np.int64]:
    """`GTcls.Segmentation` [H, W] of a file in `cls/`: 0 background, 1 to 20 the classes of VOC.

    Raises:
        OSError: the file is missing.
        ValueError: it is no MATLAB file of SBD.
    """
    from scipy.io import loadmat  # its import takes long, and only SBD needs it
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=["GTcls"], squeeze_me=True, struct_as_record=False)
        return np.asarray(content["GTcls"].Segmentation, dtype=np.int64)
    except (KeyError, AttributeError, TypeError, NotImplementedError, MatReadError) as error:
        raise ValueError(f"no GTcls.Segmentation of SBD in it: {error}") from None
