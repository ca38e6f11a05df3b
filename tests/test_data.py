"""Datasets, loaders, IDX files, downloads."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest
from helpers import close, constant

import tinygrad_norm as tn
from tinygrad_norm.data import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    digits,
    images,
    mnist,
    random_split,
    read_idx,
    write_idx,
)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", ["a.idx", "a.gz"])
def test_idx_files_keep_their_arrays(tmp_path, dtype, name) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_idx(tmp_path / name, array)
    found = read_idx(tmp_path / name)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda raw: raw[:-1], "truncated: 23 bytes of data, but the shape"),
        (lambda raw: raw + b"x", "too long"),
        (lambda raw: raw[:7], "the header alone takes 16"),
        (lambda raw: b"\1" + raw[1:], "not an IDX file"),
        (lambda raw: raw[:2] + b"\7" + raw[3:], "not an IDX file"),
        (lambda raw: b"", "it starts with nothing"),
        (lambda raw: gzip.compress(raw)[:-9], "damaged gzip"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, damage, text) -> None:
    path = tmp_path / "a.idx"
    write_idx(path, np.arange(24, dtype="uint8").reshape(2, 3, 4))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=text):
        read_idx(path)
    with pytest.raises(TypeError, match="IDX holds"):
        write_idx(path, np.zeros(2, complex))


def test_the_digits_are_there_and_split_evenly() -> None:
    x, y = digits().tensors
    assert x.shape == (1797, 1, 8, 8)
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    train, test = digits(train=True), digits(train=False)
    assert (len(train), len(test)) == (1440, 357)
    for part in (train, test):
        counts = np.bincount(part.tensors[1].cpu().numpy())
        assert counts.min() > 0.85 * len(part) / 10
    assert y.dtype == tn.int64


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on a loopback port."""

    def __init__(self, folder) -> None:
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args) -> None:
                pass

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=folder))


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A small MNIST, served on loopback in the place of the real one."""
    folder = tmp_path / "served"
    folder.mkdir()
    sums = {}
    for part, count in (("train", 5), ("t10k", 3)):
        for kind, array in (
            ("images-idx3", np.arange(count * 4, dtype="uint8").reshape(count, 2, 2)),
            ("labels-idx1", np.arange(count, dtype="uint8")),
        ):
            name = f"{part}-{kind}-ubyte.gz"
            write_idx(folder / name, array)
            sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    server = Server(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(images, "MNIST", images.Source(f"http://127.0.0.1:{server.server_port}/", sums))
    yield folder
    server.shutdown()
    server.server_close()


def test_mnist_is_fetched_checked_and_kept(served, tmp_path) -> None:
    root = tmp_path / "root"
    with pytest.raises(FileNotFoundError, match="download=True"):
        mnist(root)
    x, y = mnist(root, train=False, download=True).tensors
    assert x.shape == (3, 1, 2, 2)
    assert y.tolist() == [0, 1, 2]
    assert sorted(p.name for p in root.iterdir()) == ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
    for path in served.iterdir():
        path.unlink()
    close(mnist(root, train=False).tensors[0], x)


def test_a_wrong_checksum_leaves_nothing_behind(served, tmp_path) -> None:
    (served / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match="MD5"):
        mnist(tmp_path / "root", download=True)
    assert list((tmp_path / "root").iterdir()) == []


def test_labels_have_to_match_images(tmp_path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((3, 2, 2), "uint8"))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(2, "uint8"))
    with pytest.raises(ValueError, match="3 images, but 2 labels"):
        mnist(tmp_path)


class Squares(Dataset):
    """Items of plain Python."""

    def __getitem__(self, index):
        return {"x": float(index), "y": (index * index, np.array([index]))}

    def __len__(self) -> int:
        return 5


def test_a_loader_makes_batches() -> None:
    data = TensorDataset(tn.arange(10), tn.arange(10) * 2)
    loader = DataLoader(data, batch_size=4)
    assert [x.tolist() for x, _ in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    assert len(DataLoader(data, batch_size=4, drop_last=True)) == len(list(DataLoader(data, batch_size=4, drop_last=True))) == 2
    assert [x.tolist() for x, _ in DataLoader(data, batch_size=5, sampler=[3, 1])] == [[3, 1]]
    batch = next(iter(DataLoader(Squares(), batch_size=3)))
    assert batch["x"].tolist() == [0, 1, 2]
    assert batch["y"][0].tolist() == [0, 1, 4]
    assert batch["y"][1].shape == (3, 1)
    assert next(iter(DataLoader(Squares(), batch_size=2, collate_fn=len))) == 2
    assert next(iter(DataLoader(["a", "b"], batch_size=2))) == ["a", "b"]
    assert next(iter(DataLoader([constant([1.0]), constant([2.0])], batch_size=2))).tolist() == [[1.0], [2.0]]


def test_shuffling_visits_everything_once_and_reproduces() -> None:
    data = TensorDataset(tn.arange(20))
    orders = []
    for _ in range(2):
        loader = DataLoader(data, batch_size=7, shuffle=True, generator=tn.Generator().manual_seed(3))
        orders.append([[x for (b,) in loader for x in b.tolist()] for _ in range(2)])
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert sorted(orders[0][0]) == list(range(20))


def test_splits_are_complete_and_disjoint() -> None:
    data = TensorDataset(tn.arange(10))
    parts = random_split(data, [7, 3])
    assert sorted(int(p[i][0]) for p in parts for i in range(len(p))) == list(range(10))
    assert [len(p) for p in random_split(data, [0.5, 0.25, 0.25])] == [6, 2, 2]
    assert [b.tolist() for (b,) in DataLoader(Subset(data, [1, 3, 5]), batch_size=2)] == [[1, 3], [5]]
    assert next(iter(DataLoader(Subset(Squares(), [4]), batch_size=1)))["x"].tolist() == [4]
    with pytest.raises(ValueError, match="Sum of input lengths"):
        random_split(data, [1, 2])


def test_loaders_refuse_what_makes_no_sense() -> None:
    data = TensorDataset(tn.arange(4))
    for bad, error in (
        (lambda: DataLoader(data, batch_size=0), ValueError),
        (lambda: DataLoader(data, sampler=[1], shuffle=True), ValueError),
        (lambda: DataLoader(data, num_workers=-1), ValueError),
        (lambda: TensorDataset(tn.arange(2), tn.arange(3)), AssertionError),
        (lambda: next(iter(DataLoader([object()]))), TypeError),
        (lambda: Dataset()[0], NotImplementedError),
        (lambda: len(Dataset()), TypeError),
    ):
        with pytest.raises(error):
            bad()
    with pytest.warns(UserWarning, match="loaded in this process"):
        assert len(list(DataLoader(data, num_workers=2))) == 4


class Damaged(tn.data.Dataset):
    """Twelve numbers, of which the sixth cannot be read."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if i == 5:
            raise OSError("a damaged file")
        return float(i)


class Stream(tn.data.IterableDataset):
    """The same, one after the other."""

    def __iter__(self):
        return map(Damaged().__getitem__, iter(range(12)))


def taken(loader) -> list:
    """What next() gives until the end, errors included."""
    found, batches = [], iter(loader)
    for _ in range(20):
        try:
            batch = next(batches)
            found.append(batch.tolist() if isinstance(batch, tn.Tensor) else batch)
        except OSError:
            found.append("error")
        except StopIteration:
            return found
    return found


def collate(items: list) -> list:
    if 5.0 in items:
        raise OSError("cannot be stacked")
    return items


def test_after_an_error_a_loader_goes_on_with_the_next_batch() -> None:
    rest = [[8, 9, 10, 11]]
    assert taken(tn.data.DataLoader(Damaged(), 4)) == [[0, 1, 2, 3], "error", *rest]
    assert taken(tn.data.DataLoader(Damaged(), 4, collate_fn=list)) == [[0, 1, 2, 3], "error", *rest]
    assert taken(tn.data.DataLoader(list(map(float, range(12))), 4, collate_fn=collate)) == [[0, 1, 2, 3], "error", *rest]
    assert taken(tn.data.DataLoader(tn.data.Subset(Damaged(), range(12)), 4)) == [[0, 1, 2, 3], "error", *rest]
    assert taken(tn.data.DataLoader(Damaged(), batch_sampler=[[0, 1], [5], [2]])) == [[0, 1], "error", [2]]
    assert taken(tn.data.DataLoader(Damaged(), None, sampler=[4, 5, 6])) == [4.0, "error", 6.0]
    assert taken(tn.data.DataLoader(tn.data.ConcatDataset([Damaged()]), 6)) == ["error", [6, 7, 8, 9, 10, 11]]
    assert taken(tn.data.DataLoader(Stream(), None)) == [0.0, 1.0, 2.0, 3.0, 4.0, "error", 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    assert taken(tn.data.DataLoader(Stream(), 6, drop_last=True)) == ["error", [6, 7, 8, 9, 10, 11]]
    split = tn.data.random_split(Damaged(), [6, 6], tn.data.RandomSampler([1]).generator)
    assert sum(batch == "error" for part in split for batch in taken(tn.data.DataLoader(part, 2))) == 1
