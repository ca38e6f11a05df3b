"""The random generator, from which initialisation, dropout and shuffling draw."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from tinygrad_norm.backend import Array, Device


class Generator:
    """A source of random numbers, seeded once: initialisation, dropout and shuffling draw from it.

    Numbers drawn for NumPy arrays come from PCG64 (`numpy.random.default_rng`), those for CuPy
    arrays from CuPy's own generator with the same seed: both reproduce, but differ.

    Every seed is valid, 0 included.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = Device(device)
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from `seed`, a non-negative integer; returns the generator itself."""
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise TypeError(f"manual_seed expected a non-negative integer, but got {type(seed).__name__}")
        if seed < 0:
            raise ValueError(f"manual_seed expected a non-negative integer, but got {seed!r}")
        self._seed = self._device_seed = int(seed)
        self._sources = {np: np.random.default_rng(self._seed)}
        return self

    def __getstate__(self) -> dict:
        return {"device": self.device, "state": self.get_state()}

    def __setstate__(self, saved: dict) -> None:
        self.device = saved["device"]
        self.set_state(saved["state"])

    def seed(self) -> int:
        """Start anew from a seed that the operating system draws; returns it."""
        return self.manual_seed(int(np.random.SeedSequence().generate_state(1)[0])).initial_seed()

    def initial_seed(self) -> int:
        """The seed of the last `manual_seed`."""
        return self._seed

    def get_state(self) -> Array:
        """What `set_state` needs to go on from here, as a uint8 array.

        CuPy's generators cannot be saved. If one was used, it starts anew from a number drawn here, so that this
        program and one that goes on from the state draw the same.
        """
        if len(self._sources) > 1:
            self._device_seed = int(self.source().integers(2**63))
            self._sources = {np: self.source()}
        state = {"seed": self._seed, "device_seed": self._device_seed, "numpy": self._sources[np].bit_generator.state}
        return np.frombuffer(json.dumps(state).encode(), np.uint8).copy()

    def set_state(self, state: Any) -> None:
        """Go on from a state that `get_state` returned."""
        try:
            content = json.loads(np.asarray(state, np.uint8).tobytes())
            source = np.random.default_rng(content["seed"])
            source.bit_generator.state = content["numpy"]
            self._seed, self._device_seed = content["seed"], content["device_seed"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("not a generator's state: expected what Generator.get_state() returned") from error
        self._sources = {np: source}

    def source(self, module: Any = np) -> Any:
        """The array library's own generator, seeded with this one's seed."""
        if module not in self._sources:
            self._sources[module] = module.random.default_rng(self._device_seed)
        return self._sources[module]

    def uniform(self, shape: tuple[int, ...], dtype: Any = np.float32, module: Any = np) -> Array:
        """Numbers from [0, 1). Floating types other than float32 and float64 are drawn as float32."""
        dtype = np.dtype(dtype)
        drawn = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float32)
        return module.asarray(self.source(module).random(shape, dtype=drawn)).astype(dtype, copy=False)

    def kept(self, shape: tuple[int, ...], p: float, module: Any = np) -> Array:
        """False with probability p, else True. 8 bits decide; where they equal the first 8 of p, a further number does."""
        if module is not np:
            return self.uniform(shape, module=module) >= p
        bits, rest = divmod(256 * p, 1)
        size = math.prod(shape)
        drawn = self.source().bit_generator.random_raw(-(-size // 8)).view(np.uint8)[:size].reshape(shape)
        kept = np.asarray(drawn >= int(bits))
        if rest:
            undecided = np.asarray(drawn == int(bits))
            kept[undecided] = self.source().random(np.count_nonzero(undecided)) >= rest
        return kept

    def normal(self, shape: tuple[int, ...], dtype: Any = np.float32, module: Any = np) -> Array:
        """Numbers from the normal distribution with mean 0 and variance 1."""
        dtype = np.dtype(dtype)
        drawn = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float32)
        return module.asarray(self.source(module).standard_normal(shape, dtype=drawn)).astype(dtype, copy=False)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any, module: Any = np) -> Array:
        """Integers from [low, high)."""
        return module.asarray(self.source(module).integers(low, high, shape)).astype(dtype)

    def permutation(self, n: int) -> np.ndarray:
        """The integers 0 to n-1 in random order, always on the host: they index."""
        return self.source().permutation(n)


default_generator = Generator()  # what everything draws from unless told otherwise


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the same seed, the same initialisation, dropout and shuffling."""
    return default_generator.manual_seed(seed)
