"""Row records of chains and trees, and the checks on what a pass is asked to run."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.host.errors import SessionError
from terntable.hw.spec.program import ROW

__all__ = ["check_nodes", "check_parents", "check_path", "check_tokens", "check_vectors", "row_records"]


def check_tokens(tokens: ArrayLike, vocab: int) -> NDArray[np.int64]:
    """Token ids, (n,) with n >= 1 and all below `vocab`; SessionError names a wrong one."""
    ids = np.atleast_1d(np.asarray(tokens))
    if ids.ndim != 1 or ids.size == 0:
        raise SessionError(f"The input has shape {ids.shape}, but must be one row of at least one token")
    if not np.issubdtype(ids.dtype, np.integer):
        raise SessionError(f"Token ids must be whole numbers, not {ids.dtype}")
    wrong = ids[(ids < 0) | (ids >= vocab)]
    if wrong.size:
        raise SessionError(f"Token id {wrong[0]} is outside the vocabulary, 0 to {vocab - 1}")
    return ids.astype(np.int64)


def check_vectors(embeddings: ArrayLike, hidden: int) -> NDArray[np.float32]:
    """Input vectors, float32 (n, hidden) with n >= 1, all finite; SessionError names what is wrong."""
    values = np.asarray(embeddings)
    if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] != hidden:
        raise SessionError(f"The input vectors have shape {values.shape}, but must be (n, {hidden}) with n "
                           "of at least 1")
    if values.dtype != np.float32:
        raise SessionError(f"Input vectors must be float32, not {values.dtype}")
    if not np.isfinite(values).all():
        raise SessionError("Input vectors must be finite numbers, but one is not")
    return values


def check_nodes(count: int, rows: int) -> None:
    """SessionError for a tree of more nodes than a pass has rows."""
    if count > rows:
        raise SessionError(f"A tree of {count} nodes does not fit a pass of {rows} rows")


def check_parents(parents: Sequence[int] | None, nodes: int) -> list[int]:
    """Parents of a tree's nodes, a chain if None; SessionError for a parent that is not before its node."""
    chain = list(range(-1, nodes - 1))
    if parents is None:
        return chain
    if len(parents) != nodes:
        raise SessionError(f"{len(parents)} parents were given for {nodes} nodes")
    for node, parent in enumerate(parents):
        if not -1 <= parent < node:
            raise SessionError(f"The parent of node {node} is {parent}, but must be -1 to {node - 1}")
    return [int(parent) for parent in parents]


def check_path(path: Sequence[int], parents: list[int]) -> list[int]:
    """A way down a verified tree from a root; SessionError for a step that is none."""
    above = -1
    for node in path:
        if not 0 <= node < len(parents):
            raise SessionError(f"Node {node} is not one of the {len(parents)} nodes verified last")
        if parents[node] != above:
            raise SessionError(f"Node {node} follows {parents[node]} in the verified tree, not {above}")
        above = node
    return [int(node) for node in path]


def row_records(*, tokens: NDArray[np.int64] | None, parents: list[int], length: int) -> NDArray:
    """Records of nodes after `length` committed tokens.

    Node i takes slot length + i, but the position of its depth, and sees the committed slots, its ancestors
    and itself.
    """
    rows = np.zeros(len(parents), ROW)
    depths: list[int] = []
    masks: list[int] = []
    for node, parent in enumerate(parents):
        depths.append(0 if parent < 0 else depths[parent] + 1)
        masks.append((0 if parent < 0 else masks[parent]) | 1 << node)
    rows["token"] = 0 if tokens is None else tokens
    rows["position"] = length + np.array(depths)
    rows["slot"] = length + np.arange(len(parents))
    rows["prefix"] = length
    rows["mask"] = np.array(masks, np.uint64)
    return rows
