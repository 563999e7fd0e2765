"""Plain decoding: no draft, a token a forward."""

from terntable.host.decoding.method import Decoder, Method, Setup

__all__ = ["METHOD"]


def build(setup: Setup) -> Decoder:
    """No drafter."""
    return Decoder()


METHOD = Method(name="greedy", title="Plain decoding", paper="none", build=build)
