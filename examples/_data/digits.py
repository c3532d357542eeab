"""scikit-learn's digits: 1797 images of 8x8 pixels that come with the package.

They are the test part of the UCI "Optical Recognition of Handwritten Digits":
43 people wrote that data set, 13 of them these images (Alpaydin and Kaynak 1998).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from _data.dataset import DataError, Dataset


def load(data_dir: Path | None, image_size: int | None) -> Dataset:
    """1442 training and 355 test images.

    Of each class every fifth image in the order of the file is for testing: the
    same split for every seed, with the same share of each class. Both parts have
    images of the same writers.
    """
    if data_dir is not None:
        raise DataError("--data digits comes with scikit-learn and takes no --data-dir")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "--data digits needs scikit-learn: pip install scikit-learn"
        ) from error
    bunch = load_digits()
    # Pixels count 0 to 16 dots.
    images = bunch.images.astype(np.uint8)[..., np.newaxis]
    labels = bunch.target.astype(np.int32)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[4::5]] = True
    return Dataset(
        "digits",
        images[~test],
        labels[~test],
        images[test],
        labels[test],
        tuple("0123456789"),
    )
