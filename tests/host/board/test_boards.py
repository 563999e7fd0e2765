"""The table of boards."""

import pytest

from terntable.host.board.boards import BOARDS, board_of
from terntable.host.board.design import check_fits
from terntable.host.errors import InputError
from terntable.hw.spec.parts import part_of


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_preset_is_sized_for_the_part(board):
    assert board.part.partition("-")[0] == part_of(board.preset).name.lower()
    assert board.config.name == board.preset
    check_fits(board.config, board)


@pytest.mark.parametrize("name,ranges", [
    ("kv260", {"DDR_LOW": (0, 2 << 30), "DDR_HIGH": (32 << 30, 2 << 30)}), ("zcu104", {"DDR_LOW": (0, 2 << 30)})])
def test_memory(name, ranges):
    assert board_of(name).memory_ranges == ranges


def test_unknown():
    with pytest.raises(InputError, match="Unknown board 'de10'; known: kr260, kv260, zcu104"):
        board_of("de10")
