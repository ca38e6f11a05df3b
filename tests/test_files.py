"""Checkpoints under faults: a file is the old one or the new one, whole, and what is damaged is never taken for weights."""

from __future__ import annotations

import io
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import close

import tinygrad_norm as tn
from tinygrad_norm import nn, optim

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="faults are made in forked processes")


def checkpoint(value: float) -> dict:
    tn.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with tn.no_grad():
        net[0].weight.fill_(value)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}


def first_weight(path: Path) -> float:
    return float(tn.load(path)["model"]["0.weight"][0, 0])


def in_a_child(run) -> int:
    """The status of a forked process that calls run(): 0, 1 after an OSError, or the signal that killed it, negative."""
    child = os.fork()
    if not child:
        try:
            run()
        except OSError:
            os._exit(1)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("killed", [False, True], ids=["full disk", "killed"])
def test_a_save_that_ends_at_any_byte_leaves_the_old_file(tmp_path, killed) -> None:
    path = tmp_path / "a.safetensors"
    tn.save(checkpoint(1.0), path)
    old, new = path.read_bytes(), checkpoint(2.0)
    size = len(old)
    for limit in [*range(0, size, 97), size - 1]:

        def save(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL if killed else signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            tn.save(new, path)

        assert in_a_child(save) == (-signal.SIGXFSZ if killed else 1), limit
        assert path.read_bytes() == old
    if not killed:
        assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    assert in_a_child(lambda: tn.save(new, path)) == 0
    assert first_weight(path) == 2.0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("moment", ["chmod", "fsync", "replace"])
def test_a_process_killed_between_the_steps_of_a_save_leaves_a_whole_file(tmp_path, moment) -> None:
    path = tmp_path / "a.safetensors"
    tn.save(checkpoint(1.0), path)
    original = getattr(os, moment)

    def save(before: bool) -> None:
        def dies(*args, **kwargs):
            if not before:
                original(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, moment, dies)
        tn.save(checkpoint(2.0), path)

    for before in (True, False):
        assert in_a_child(lambda before=before: save(before)) == -signal.SIGKILL
        assert first_weight(path) == (2.0 if moment == "replace" and not before else 1.0)


@pytest.mark.parametrize("moment", ["chmod", "fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError, MemoryError])
def test_an_error_inside_of_save_comes_through_and_the_old_file_stays(tmp_path, monkeypatch, moment, error) -> None:
    path = tmp_path / "a.safetensors"
    tn.save(checkpoint(1.0), path)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, moment, fails)
    with pytest.raises(error):
        tn.save(checkpoint(2.0), path)
    monkeypatch.undo()
    assert first_weight(path) == 1.0
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    if before:
        assert len(os.listdir("/proc/self/fd")) == before, "a file was left open"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX's permissions")
def test_a_folder_that_may_not_be_written_to() -> None:
    folder = Path(tempfile.mkdtemp())
    path, user = folder / "a.safetensors", os.geteuid()
    tn.save(checkpoint(1.0), path)
    folder.chmod(0o555)
    if user == 0:  # who may write anywhere, so this is done as nobody
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            tn.save(checkpoint(2.0), path)
        assert first_weight(path) == 1.0
        assert [p.name for p in folder.iterdir()] == ["a.safetensors"]
    finally:
        os.seteuid(user)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_folder_that_is_not_there_or_is_none(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        tn.save({}, tmp_path / "b" / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        tn.save({}, tmp_path / "file" / "a")
    with pytest.raises(OSError, match="directory"):
        tn.save({}, tmp_path)


def test_of_many_writers_one_wins_with_a_whole_file(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    tn.save(checkpoint(0.0), path)
    stop, seen, wrong = threading.Event(), set(), []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(first_weight(path))
            except Exception as error:
                wrong.append(error)

    def write(value: float) -> None:
        for _ in range(20):
            tn.save(states[value], path)

    states = {v: checkpoint(v) for v in (1.0, 2.0, 3.0)}
    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(v,)) for v in states]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert not wrong
    assert seen <= {0.0, *states}
    assert first_weight(path) in states
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_each_byte_cut_or_changed_is_noticed() -> None:
    buffer = io.BytesIO()
    state = {"w": tn.tensor([[1.5, -2.0]]), "b": tn.tensor([3], dtype="int64"), "epoch": 7, "names": ["x"]}
    tn.save(state, buffer)
    raw = buffer.getvalue()
    unnoticed = 0
    for length in range(len(raw)):
        with pytest.raises(ValueError, match=r"not a complete|damaged"):
            tn.load(io.BytesIO(raw[:length]))
    for place in range(len(raw)):
        for flip in (1, 0x20, 0xFF):
            changed = bytearray(raw)
            changed[place] ^= flip
            try:
                found = tn.load(io.BytesIO(bytes(changed)))
            except ValueError:
                continue
            unnoticed += 1
            close(found["w"], state["w"])  # what does not carry anything, blanks in the header say, may differ
            close(found["b"], state["b"])
            assert (found["epoch"], found["names"]) == (7, ["x"])
            assert found["w"].dtype == tn.float32
    assert unnoticed < len(raw) // 10


HUGE = """
import io, json, resource, sys, tinygrad_norm as tn
tn.save({"a": tn.ones(1)}, io.BytesIO())  # imports what it needs
resource.setrlimit(resource.RLIMIT_AS, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 2**31, -1))
def file(header, size=None, data=b""):
    text = json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data
big = 2**40
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for raw in (
    file({}, size=big),
    file({}, size=2**63),
    file({"w": {"dtype": "F32", "shape": [big], "data_offsets": [0, 4 * big]}}),
    file({"w": {"dtype": "F32", "shape": [big, big], "data_offsets": [0, 4]}}, data=b"0000"),
    file({"w": {"dtype": "F32", "shape": [big], "data_offsets": [0, 4]}}, data=b"0000"),
    file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [big, big + 4]}}, data=b"0000"),
    file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, data=b"0000"),
    file({"__metadata__": {"tinygrad_norm": '{"list": ' * 100000}}),
    file({"__metadata__": {"tinygrad_norm": '{"tensor": "no"}'}}),
    file({"__metadata__": {"tinygrad_norm": '{"scalar": ["O", 3]}'}}),
):
    try:
        print("loaded", tn.load(io.BytesIO(raw)))
        sys.exit(1)
    except ValueError:
        pass
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 100 * 1024, grown
"""


def test_headers_that_claim_too_much_are_refused_without_memory() -> None:
    run = subprocess.run([sys.executable, "-c", HUGE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


class Trap:
    """Pickled, this creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_never_read(tmp_path) -> None:
    trap = tmp_path / "sprung"
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"w": Trap(str(trap))}))
    for weights_only in (None, False, True):
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            tn.load(path, weights_only=weights_only)
    array = np.empty(1, object)
    array[0] = Trap(str(trap))
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match="not a complete"):
        tn.load(tmp_path / "a.npy")
    with pytest.raises(TypeError, match="object"):
        tn.save({"w": array}, tmp_path / "b")
    assert not trap.exists()


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path) -> None:
    from tinygrad_norm import saving

    def killed_while_it_saves() -> int:
        os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
        tn.save({"a": tn.ones(3)}, tmp_path / "a")
        return 0

    for _ in range(3):
        assert in_a_child(killed_while_it_saves) != 0
    mine = tmp_path / f"{saving._PART}{os.getpid()}-other.part"  # its own names end in a number
    mine.write_bytes(b"being written")
    assert len(list(tmp_path.glob(".*.part"))) >= 2
    tn.save({"a": tn.ones(3)}, tmp_path / "a")
    assert list(tmp_path.glob(".*.part")) == [mine]
    assert tn.load(tmp_path / "a")["a"].tolist() == [1.0, 1.0, 1.0]


def test_a_name_as_long_as_the_system_allows(tmp_path) -> None:
    path = tmp_path / ("n" * 255)
    tn.save({"a": tn.ones(1)}, path)
    assert tn.load(path)["a"].item() == 1.0


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path) -> None:
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    tn.save({"a": tn.ones(2)}, pipe)
    reader.join()
    assert pipe.is_fifo()
    assert tn.load(io.BytesIO(found[0]))["a"].tolist() == [1.0, 1.0]
    tn.save({"a": tn.ones(2)}, os.devnull)
    assert not os.path.isfile(os.devnull)


@pytest.mark.parametrize(
    "value",
    [np.arange(3, dtype=">f4"), np.ones(2, np.longdouble), np.longdouble("1.1"), np.ones(2, "complex64"), np.array([None]),
     np.zeros(2, [("a", "f4")]), np.array(["text"]), np.array(["2020-01-01"], "datetime64[D]"), np.ma.masked_array([1.0], [1])],
)  # fmt: skip
def test_an_array_that_would_not_come_back_is_refused_before_anything_is_written(value, tmp_path) -> None:
    with pytest.raises(TypeError):
        tn.save({"ok": tn.ones(2), "a": value}, tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_every_native_array_comes_back(tmp_path) -> None:
    kinds = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
    saved = {kind: np.arange(3).astype(kind) for kind in kinds} | {f"{kind} scalar": np.dtype(kind).type(1) for kind in kinds}
    tn.save(saved, tmp_path / "file")
    for name, value in tn.load(tmp_path / "file").items():
        assert value.dtype == saved[name].dtype
        np.testing.assert_array_equal(value, saved[name])


def test_a_name_that_the_format_reserves_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="__metadata__"):
        tn.save({"__metadata__": tn.ones(1)}, tmp_path / "file")
    for names in (
        {"__metadata__": {"a": tn.ones(1)}},
        {"a": {"__metadata__": tn.ones(1)}},
        {"tinygrad_norm": tn.ones(1)},
        {"": tn.ones(1)},
    ):
        tn.save(names, tmp_path / "file")
        assert str(tn.load(tmp_path / "file", map_location=tn.get_backend())) == str(names)


TREES = """
{}
[]
3
"text"
null
{"scalar": ["|i1", 1000]}
{"scalar": ["<i8", 1e400]}
{"scalar": ["O", 1]}
{"array": "no"}
{"tensor": []}
{"list": 3}
{"list": [{}]}
{"Size": 3}
{"dict": [1]}
{"dict": [[[], {"value": 1}]]}
{"parameter": "a", "requires_grad": "yes"}
{"tensor": "i", "requires_grad": true}
{"a"
""".strip().splitlines()


@pytest.mark.parametrize("tree", [*TREES, "[" * 99999, '{"list": [' * 9999], ids=lambda tree: tree[:40])
def test_a_crafted_tree_is_said_to_be_damaged(tree) -> None:
    from safetensors.numpy import save

    raw = save({"a": np.ones(2, "float32"), "i": np.ones(2, "int64")}, {"tinygrad_norm": tree})
    with pytest.raises(ValueError, match="damaged|not a complete safetensors file"):
        tn.load(io.BytesIO(raw))
