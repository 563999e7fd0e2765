"""Text with gaps, filled in from the joint law of an any-order model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terntable.host.decoding.any_order import AnyOrderModel, AnyOrderTarget, order_of
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.ledger import Ledger
from terntable.host.sampling import Sampling

__all__ = ["Infilling", "infill"]

#: The model's own law.
PLAIN = Sampling(temperature=1.0)


@dataclass(frozen=True)
class Infilling:
    """A text without gaps.

    Attributes
    ----------
    tokens : all of them; those that were known are as they were.
    ledger : what it cost.

    """

    tokens: list[int]
    ledger: Ledger

    @property
    def calls(self) -> int:
        """Forwards of the model, those that drafted and those that verified."""
        return self.ledger.forwards + self.ledger.draft_forwards


def infill(model: AnyOrderModel, tokens: Sequence[int | None], *, method: str = "assd", sampling: Sampling = PLAIN,
           **options: Any) -> Infilling:
    """Fill in the gaps of a text by a method.

    Parameters
    ----------
    model : such as :func:`terntable.host.decoding.two_stream.load_any_order` gives.
    tokens : ids, None for each gap.
    method : `assd`, or any other that needs chains only; `greedy` is one gap after another, at any temperature.
    options : of the method.

    Raises
    ------
    InputError
        Nothing is known, nothing is to be filled in, the text is longer than the model's, or a token is outside the vocabulary.

    """
    order, given = order_of(tokens)
    target = AnyOrderTarget(model, order, given)
    known = [token for token in tokens if token is not None]
    done = run_method(target, method, known, options=options, max_tokens=len(tokens) - given, sampling=sampling)
    filled = dict(zip(order, [*known, *done.tokens], strict=True))
    return Infilling([filled[place] for place in range(len(order))], done.ledger)
