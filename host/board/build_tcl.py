"""Tcl that makes the bitstream: project, block design, implementation, reports."""

from terntable.host.board.boards import Board
from terntable.host.board.design_tcl import design_name
from terntable.host.board.tcl import FOLDER
from terntable.hw.spec.ip import VLNV

__all__ = ["PROGRESS", "SLACK", "build_tcl", "products"]

#: What a line begins with that is for the user, and the one that tells the worst slack in ns.
PROGRESS, SLACK = "terntable: ", "terntable: worst slack "

_TEXT = """# Makes the bitstream of the block design. Written by `terntable project`.
{folder}
puts "{progress}packaging the core"
source $here/package_ip.tcl

set board [get_board_parts -quiet -latest_file_version {board_part}:*]
if {{$board eq ""}} {{
    error "Vivado has no board file {board_part}: install it from its board store"
}}
create_project {name} $here/vivado/{name} -part {part} -force
set_property board_part $board [current_project]
set_property ip_repo_paths $here/ip [current_project]
update_ip_catalog -rebuild
if {{[get_ipdefs {vlnv}] eq ""}} {{
    error "The packaged core {vlnv} is not in $here/ip"
}}

puts "{progress}drawing the block design"
source $here/block_design.tcl
# All cells in one synthesis run, so that its strategy is for the accelerator.
set_property synth_checkpoint_mode None [get_files {name}.bd]
generate_target all [get_files {name}.bd]
make_wrapper -files [get_files {name}.bd] -import -fileset sources_1 -top
set_property top {name}_wrapper [current_fileset]
update_compile_order -fileset sources_1

# Timing comes first: the clock is an assumption of the simulation.
set_property strategy Flow_PerfOptimized_high [get_runs synth_1]
set_property strategy Performance_ExtraTimingOpt [get_runs impl_1]
set_property STEPS.POST_ROUTE_PHYS_OPT_DESIGN.IS_ENABLED true [get_runs impl_1]
puts "{progress}synthesis"
launch_runs synth_1 -jobs 4
wait_on_run synth_1
if {{[get_property PROGRESS [get_runs synth_1]] ne "100%"}} {{
    error "Synthesis failed: see $here/vivado/{name}/{name}.runs"
}}
puts "{progress}implementation"
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {{[get_property PROGRESS [get_runs impl_1]] ne "100%"}} {{
    error "Implementation failed: see $here/vivado/{name}/{name}.runs"
}}

open_run impl_1
report_utilization -hierarchical -file $here/utilization.rpt
report_timing_summary -file $here/timing.rpt
file copy -force $here/vivado/{name}/{name}.runs/impl_1/{name}_wrapper.bit $here/{name}.bit
file copy -force $here/vivado/{name}/{name}.gen/sources_1/bd/{name}/hw_handoff/{name}.hwh $here/{name}.hwh
write_hw_platform -fixed -include_bit -force -file $here/{name}.xsa
puts "{slack}[get_property SLACK [get_timing_paths -setup]]"
close_project
"""


def build_tcl(board: Board) -> str:
    """Text of the script; the other two, the Verilog and what it makes are beside it."""
    return _TEXT.format(folder=FOLDER, progress=PROGRESS, slack=SLACK, name=design_name(board), part=board.part,
                        board_part=board.board_part, vlnv=VLNV)


def products(board: Board) -> tuple[str, ...]:
    """Names of the files that it makes."""
    name = design_name(board)
    return f"{name}.bit", f"{name}.hwh", f"{name}.xsa", "utilization.rpt", "timing.rpt"
