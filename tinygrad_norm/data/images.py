"""Sets of images: the bundled digits, MNIST, Fashion-MNIST. One reader serves all three.

Each is a TensorDataset of images, float32 in [0, 1] of shape (N, 1, H, W), and labels, int64 (N,).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygrad_norm.data.dataset import TensorDataset
from tinygrad_norm.data.idx import read_idx
from tinygrad_norm.ops.creation import tensor


class Source(NamedTuple):
    """Where a data set comes from: the address of its folder, and the MD5 sums of its files."""

    address: str
    sums: dict[str, str]


MNIST = Source(
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)
FASHION_MNIST = Source(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)
_DIGITS = Path(__file__).parent / "digits"


def digits(train: bool | None = None) -> TensorDataset:
    """1,797 real handwritten digits, 8x8, ten classes: 1,440 for training and 357 for testing.

    The digits come in runs of about ten, one of each class; every fifth ten is for testing.
    train: True or False for one of the two parts, None for all. Source: E. Alpaydin and C. Kaynak,
    "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    doi:10.24432/C50P49, CC BY 4.0; the set's test part, written by 13 people.
    """
    images, labels = (read_idx(_DIGITS / f"digits-{part}.gz") for part in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    if train is not None:
        chosen = (np.arange(len(labels)) // 10 % 5 != 4) == train
        images, labels = images[chosen], labels[chosen]
    return _dataset(images, labels, 16)


def mnist(root: str | os.PathLike, train: bool = True, download: bool = False) -> TensorDataset:
    """MNIST: 60,000 (train) or 10,000 handwritten digits, 28x28, ten classes, from the files in `root`.

    download: fetch those that are missing. LeCun, Cortes and Burges, CC BY-SA 3.0.
    """
    return _from_files(MNIST, root, train, download)


def fashion_mnist(root: str | os.PathLike, train: bool = True, download: bool = False) -> TensorDataset:
    """Fashion-MNIST: as MNIST, with pieces of clothing. Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747, MIT."""
    return _from_files(FASHION_MNIST, root, train, download)


def _from_files(source: Source, root: str | os.PathLike, train: bool, download: bool) -> TensorDataset:
    names = [name for name in source.sums if name.startswith("train" if train else "t10k")]
    images, labels = (read_idx(_file(source, Path(root), name, download)) for name in names)
    if len(images) != len(labels):
        raise ValueError(f"{root}: {len(images)} images, but {len(labels)} labels")
    return _dataset(images, labels, 255)


def _dataset(images: np.ndarray, labels: np.ndarray, white: int) -> TensorDataset:
    scaled = images[:, None].astype(np.float32) / white
    return TensorDataset(tensor(scaled), tensor(labels.astype(np.int64)))


def _file(source: Source, root: Path, name: str, download: bool) -> Path:
    """The path of a file of the set: as it is there, unpacked or gzipped, or fetched."""
    for path in (root / name.removesuffix(".gz"), root / name):
        if path.exists():
            return path
    if not download:
        raise FileNotFoundError(f"{root / name} is not there: pass download=True to fetch it from {source.address}")
    try:
        import pooch
    except ImportError:
        raise ImportError(f"to fetch {name} needs pooch: pip install 'tinygrad_norm[examples]'") from None
    return Path(pooch.retrieve(source.address + name, f"md5:{source.sums[name]}", name, root))  # checked before it is kept
