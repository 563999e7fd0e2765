"""Methods side by side: the same prompts through each of them, turn by turn in one run."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from terntable.host.decoding.clocked import Clocked
from terntable.host.decoding.generation import Generation, run_method
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Method
from terntable.host.decoding.target import DecodingTarget
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["Contender", "Result", "compare", "gap", "method_contender"]

#: Two tokens whose logits are nearer than this may change places with the shape of a float32 forward. A model that rounds its
#: activations to INT8 makes an ulp into more than one without does.
NEAR = 5e-3


@dataclass(frozen=True)
class Contender:
    """One line of the comparison: its name, and what makes new tokens from a prompt."""

    name: str
    run: Callable[[Sequence[int]], Generation]


@dataclass
class Result:
    """What a contender gave over all prompts.

    Attributes
    ----------
    seconds : of the clock on the wall, over all prompts.
    equal : prompts whose tokens were those of plain decoding.
    near_ties : prompts that parted from it at two tokens whose logits are nearer than rounding moves them.

    """

    name: str
    ledgers: list[Ledger] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)
    seconds: float = 0.0
    equal: int = 0
    near_ties: int = 0

    def total(self) -> Ledger:
        """All prompts in one ledger; counters are left out."""
        all_of = Ledger()
        for one in self.ledgers:
            all_of.include(one)
        return all_of

    def cycles(self) -> int | None:
        """Simulated or counted cycles, None where a target has none."""
        counts = [ledger.counters.get("cycles") for ledger in self.ledgers]
        return None if None in counts or not counts else sum(count for count in counts if count is not None)

    def as_json(self, reference: float | None, clock_hz: int | None = None) -> dict[str, Any]:
        """A line; `reference` are the seconds of what the wall clock is compared with."""
        total, cycles = self.total(), self.cycles()
        return {"method": self.name, "tokens_per_forward": total.tokens_per_forward, "verify_width": total.verify_width,
                "draft_cost": total.draft_cost, "seconds": self.seconds,
                "wall_clock_ratio": reference / self.seconds if reference and self.seconds else None,
                "equal_to_greedy": self.equal + self.near_ties == len(self.tokens), "near_ties": self.near_ties,
                "tokens": total.new_tokens, "forwards": total.forwards, "core_seconds": total.seconds["core"],
                "draft_seconds": total.seconds["draft"], "cycles": cycles,
                "simulated_tokens_per_second": total.new_tokens * clock_hz / cycles if cycles and clock_hz else None}


def method_contender(text: str, method: Method, options: dict[str, Any], target: DecodingTarget, *, max_tokens: int,
                     sampling: Sampling = GREEDY, eos: Sequence[int] = (), model: str | None = None, tokenizer: Any = None,
                     clocked: bool = False) -> Contender:
    """A method of the registry on a target; `clocked` sets its budgets by the clock, over all prompts."""
    controller = Clocked() if clocked else None

    def run(prompt: Sequence[int]) -> Generation:
        return run_method(target, method, prompt, options=options, max_tokens=max_tokens, sampling=sampling, eos=eos, model=model,
                          tokenizer=tokenizer, controller=controller)

    return Contender(text, run)


def compare(contenders: Sequence[Contender], results: Sequence[Result], prompts: Sequence[Sequence[int]],
            greedy: Callable[[Sequence[int]], list[int]], gap_of: Callable[[list[int], int, int], float]) -> Iterator[int]:
    """Add each prompt's outcome to the results of the contenders; gives the number of prompts that are done.

    Which contender goes first changes from prompt to prompt.

    Parameters
    ----------
    greedy : tokens of plain decoding after a prompt.
    gap_of : distance of the logits of two tokens after known ones.

    """
    for number, prompt in enumerate(prompts):
        wanted = greedy(prompt)
        for turn in range(len(contenders)):
            place = (turn + number) % len(contenders)
            result, start = results[place], time.perf_counter()
            done = contenders[place].run(prompt)
            result.seconds += time.perf_counter() - start
            result.ledgers.append(done.ledger)
            result.tokens.append(done.tokens)
            if done.tokens == wanted:
                result.equal += 1
            elif _parted_nearby(list(prompt), done.tokens, wanted, gap_of):
                result.near_ties += 1
        yield number + 1


def _parted_nearby(prompt: list[int], got: list[int], wanted: list[int], gap_of: Callable[[list[int], int, int], float]) -> bool:
    pairs = enumerate(zip(got, wanted, strict=False))
    place = next((place for place, (ours, theirs) in pairs if ours != theirs), None)
    return place is not None and gap_of(prompt + got[:place], got[place], wanted[place]) < NEAR


def gap(target: DecodingTarget, known: list[int], one: int, other: int) -> float:
    """Distance of the logits of two tokens after known ones; runs in a fresh sequence."""
    target.rollback(0)
    logits = target.score(DraftTree(known[-1]), known[:-1], logits=True).logits[0]
    target.rollback(0)
    return float(abs(logits[one] - logits[other]))
