"""Pictures for tests, and their features."""

import numpy as np

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def stacked(grids):
    return np.stack([grids[k] for k in range(len(grids))])
