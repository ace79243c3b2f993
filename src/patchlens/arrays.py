"""The types of arrays, by what they hold."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]  # features and similarities
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]  # scores and statistics
Ints = NDArray[np.int64]  # counts, indices, ids
Labels = NDArray[np.uint8]  # class ids of pixels or patches
