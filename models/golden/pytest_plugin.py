"""Pytest plug-in: compare your own unit or model with the golden model, beat by beat.

Installed with the package (entry point ``pytest11``), so any test can ask for the fixture::

    def test_my_dot(golden):
        want = golden.twin("tlmm").ternary_matmul(act, codes)
        golden.assert_beats(my_unit(act, codes), want, beat=2, name="sums")
"""

from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.config import HardwareConfig, preset
from terntable.models.golden.machine import Machine

__all__ = ["Golden", "assert_beats", "golden"]


def assert_beats(got: ArrayLike, want: ArrayLike, *, beat: int = 1, name: str = "output") -> None:
    """Fail unless both arrays hold the same bits, naming the first beat that differs.

    Parameters
    ----------
    got, want : arrays of one shape and item size; the first axis is time, floats are compared by their bits.
    beat : entries of the first axis that travel in one beat.
    name : what is compared, for the message.

    """
    __tracebackhide__ = True
    if beat < 1:
        raise ValueError(f"beat must be at least 1 entry, not {beat}")
    ours, theirs = np.asarray(got), np.asarray(want)
    if ours.shape != theirs.shape:
        pytest.fail(f"{name}: shape {ours.shape} differs from the golden {theirs.shape}", pytrace=False)
    if ours.dtype.kind != theirs.dtype.kind or (ours.dtype.kind == "f" and ours.dtype != theirs.dtype):
        pytest.fail(f"{name}: type {ours.dtype} differs from the golden {theirs.dtype}", pytrace=False)
    different = _bits(ours) != _bits(theirs)
    if not different.any():
        return
    first = np.unravel_index(int(np.argmax(different)), different.shape)
    index = tuple(int(i) for i in first)
    at = index[0] if index else 0
    pytest.fail(
        f"{name}: beat {at // beat} differs first, at index {list(index)}: got {ours[first]!r}, golden {theirs[first]!r}; "
        f"{int(different.sum())} of {different.size} items differ", pytrace=False)


def _bits(values: NDArray) -> NDArray:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}") if values.dtype.kind == "f" else values


class Golden:
    """What the fixture gives."""

    assert_beats = staticmethod(assert_beats)

    @staticmethod
    def twin(unit: str) -> ModuleType:
        """The twin of ``terntable.hw.<unit>``; ValueError when there is none."""
        try:
            return import_module(f"terntable.models.golden.{unit}")
        except ModuleNotFoundError as error:
            raise ValueError(f"No golden twin is called {unit!r}") from error

    @staticmethod
    def machine(config: HardwareConfig | str, memory_bytes: int) -> Machine:
        """The whole machine over `memory_bytes` bytes of zeros, for a configuration or a preset's name."""
        instance = preset(config) if isinstance(config, str) else config
        return Machine(instance, np.zeros(memory_bytes, np.uint8))


@pytest.fixture
def golden() -> Golden:
    """Twins, the golden machine and the comparison that names the first differing beat."""
    return Golden()
