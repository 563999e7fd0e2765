"""The error of everything that can go wrong around a simulation."""

__all__ = ["SimulatorError"]


class SimulatorError(RuntimeError):
    """The simulator cannot be built, or the simulated machine did not answer, or broke the bus protocol."""
