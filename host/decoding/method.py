"""A published method: what it is, what it needs, and how its parts are put together for a target."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from terntable.host.decoding.capabilities import Capability, require
from terntable.host.decoding.controllers import Constant, Controller
from terntable.host.decoding.drafter import Drafter
from terntable.host.decoding.rules import Match, Rule
from terntable.host.decoding.target import DecodingTarget
from terntable.host.errors import DeviceError, InputError
from terntable.host.sampling import Sampling

__all__ = ["LOSSLESS", "Decoder", "Method", "Setup"]

#: Packages of the extra `torch`, which most drafters run on.
PACKAGES = ("torch", "transformers")

#: The guarantee of a method whose rule keeps the target's law.
LOSSLESS = "lossless: equal to greedy decoding at temperature 0, the target's law above it"


@dataclass(frozen=True)
class Setup:
    """What a method is put together for.

    Attributes
    ----------
    target : that it drafts for.
    model : name of the target's model, which trained parts are kept by; None where there is none.
    prompt : its token ids.
    tokenizer : of the model, None where there is none.
    parts : folder of trained parts, in place of those that are shipped.

    """

    target: DecodingTarget
    sampling: Sampling
    model: str | None = None
    prompt: tuple[int, ...] = ()
    tokenizer: Tokenizer | None = None
    parts: Path | None = None


@dataclass
class Decoder:
    """Parts of a method for one generation."""

    drafter: Drafter = field(default_factory=Drafter)
    rule: Rule = field(default_factory=Match)
    controller: Controller = field(default_factory=Constant)


@dataclass(frozen=True)
class Method:
    """An entry of the registry.

    Attributes
    ----------
    name : as users give it.
    title, paper : what it is called in full, and where it was published.
    guarantee : in a sentence.
    needs : of the target.
    build : makes the parts from a setup and the method's options, its keyword arguments.
    trained : name of the trained part that it needs, None for none.

    """

    name: str
    title: str
    paper: str
    build: Callable[..., Decoder]
    needs: Capability = Capability.CHAIN
    guarantee: str = LOSSLESS
    trained: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Names of the options with their defaults, the paper's."""
        return {name: one.default for name, one in inspect.signature(self.build).parameters.items() if name != "setup"}

    def check_options(self, options: Iterable[str]) -> None:
        """InputError for an option that is unknown."""
        for name in options:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise InputError(f"Method {self.name} has no option {name!r}; known: {known}")

    def check(self, options: Iterable[str], target: str, offers: Capability) -> None:
        """InputError for an option that is unknown, or for what a target lacks."""
        self.check_options(options)
        require(self.name, self.needs, target, offers)

    def decoder(self, setup: Setup, options: Mapping[str, Any] | None = None) -> Decoder:
        """The parts for a target.

        Raises
        ------
        InputError
            As of :meth:`check`, or for a value that makes no sense.
        DeviceError
            A package that the drafter runs on is not installed, as on a board without torch.

        """
        self.check(options or (), setup.target.name, setup.target.capabilities)
        try:
            return self.build(setup, **options or {})
        except ModuleNotFoundError as error:
            if error.name not in PACKAGES:
                raise
            raise DeviceError(f"Method {self.name} needs {error.name}, which is not installed: "
                              "pip install 'terntable[torch]'") from error
