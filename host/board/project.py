"""Everything that Vivado needs for a bitstream, and what goes with it, in one folder."""

from collections.abc import Iterator
from pathlib import Path

from terntable.host.board.boards import Board
from terntable.host.board.build_tcl import build_tcl
from terntable.host.board.c_header import c_header
from terntable.host.board.design import check_fits
from terntable.host.board.design_tcl import design_name, design_tcl
from terntable.host.board.hwh import simulation_hwh
from terntable.host.board.ip_xact import ip_xact
from terntable.host.board.package_tcl import package_tcl
from terntable.host.board.rdl import system_rdl
from terntable.host.board.register_page import register_page
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import NAME

__all__ = ["write_project"]


def write_project(config: HardwareConfig, board: Board, folder: Path) -> Iterator[Path]:
    """Write the files one after another, each told when it is there. The Verilog comes last: it takes longest."""
    check_fits(config, board)
    texts = {
        "package_ip.tcl": package_tcl(config, board),
        "block_design.tcl": design_tcl(config, board),
        "build.tcl": build_tcl(board),
        # Not beside the bitstream: the one that Vivado writes there has the same name.
        f"simulation/{design_name(board)}.hwh": simulation_hwh(config, board),
        "registers/registers.md": register_page(config),
        f"registers/{NAME}.h": c_header(),
        f"registers/{NAME}.rdl": system_rdl(config),
        f"registers/{NAME}.xml": ip_xact(config),
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        yield path

    # All but the Verilog, and the ports above, needs no Amaranth.
    from terntable.hw.verilog import top

    path = folder / f"{NAME}.v"
    path.write_text(top(config, clear=False))
    yield path
