"""The errors of what goes on around a simulation and around synthesis."""

__all__ = ["SimulatorError", "SynthesisError"]


class SimulatorError(RuntimeError):
    """The simulator cannot be built, or the simulated machine did not answer, or broke the bus protocol."""


class SynthesisError(RuntimeError):
    """A tool of synthesis or place and route is missing or failed, or there is no such unit."""
