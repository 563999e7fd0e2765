"""What a decoding method may ask of a target, and the refusal of a target that lacks it."""

from enum import Flag, auto

from terntable.host.errors import InputError

__all__ = ["Capability", "names_of", "require"]


class Capability(Flag):
    """Things that a target can do besides running one token after another."""

    CHAIN = auto()
    TREE = auto()
    FULL_LAW = auto()
    LAST_HIDDEN = auto()
    ALL_HIDDEN = auto()
    EARLY_EXIT = auto()
    EMBED_INPUT = auto()
    MID_INJECT = auto()
    ORDER_MASK = auto()
    IMAGE = auto()


_WORDS = {
    Capability.CHAIN: "verification of several tokens in a pass",
    Capability.TREE: "tree masks",
    Capability.FULL_LAW: "full logits",
    Capability.LAST_HIDDEN: "the last hidden states",
    Capability.ALL_HIDDEN: "the hidden states of all layers",
    Capability.EARLY_EXIT: "leaving after some layers",
    Capability.EMBED_INPUT: "input vectors instead of tokens",
    Capability.MID_INJECT: "rows that enter between layers",
    Capability.ORDER_MASK: "attention in any order of positions",
    Capability.IMAGE: "images in the prompt",
}


def names_of(capabilities: Capability) -> list[str]:
    """Names of the members, lower-case with dashes, in the order of the class."""
    return [str(one.name).lower().replace("_", "-") for one in Capability if one in capabilities]


def require(method: str, needs: Capability, target: str, offers: Capability) -> None:
    """Refuse a target without what a method needs; InputError names the first thing that is missing."""
    for one in Capability:
        if one in needs and one not in offers:
            raise InputError(f"Method {method} needs {_WORDS[one]}, which target {target} does not have")
