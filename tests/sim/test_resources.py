"""No leaf unit grows by more than a twentieth over what the table has for it."""

import pytest

from terntable.sim.open_tools import version
from tests.sim.leaf_units import LEAVES, counts, table

#: Above what is kept.
CEILING = 1.05


def test_the_table_has_every_leaf():
    assert all(tuple(kept) == LEAVES for kept in table().values())


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaf_stays_below_its_ceiling(leaf):
    kept = table().get(version("yosys"))
    if kept is None:
        pytest.skip(f"resources.json has no table for {version('yosys')}: python -m tests.sim.leaf_units")
    found = counts(leaf)
    above = {name: (getattr(found, name), limit) for name, limit in kept[leaf].items() if getattr(found, name) > CEILING * limit}
    assert not above, f"{leaf} takes more than {CEILING} of resources.json: {above}"
