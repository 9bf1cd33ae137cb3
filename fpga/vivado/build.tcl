# Builds edge.bit and edge.hwh for a PYNQ-Z2:  vivado -mode batch -source build.tcl
# Reads hv_accel.v and hv_accel.xdc beside this file. CLOCK_MHZ in the environment sets the clock.
set here [file dirname [file normalize [info script]]]
set part xc7z020clg400-1
set clock_mhz 100
if {[info exists ::env(CLOCK_MHZ)]} { set clock_mhz $::env(CLOCK_MHZ) }

create_project hawkvision [file join $here vivado] -part $part -force
add_files [file join $here hv_accel.v]
add_files -fileset constrs_1 [file join $here hv_accel.xdc]
set_property used_in {out_of_context synthesis implementation} [get_files hv_accel.xdc]
update_compile_order -fileset sources_1

create_bd_design hawkvision
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7:5.5 processing_system7_0]
# A PYNQ-Z2 has a crystal of 50 MHz. Everything else of the processing system is set when it boots.
set_property -dict [list \
    CONFIG.PCW_CRYSTAL_PERIPHERAL_FREQMHZ 50 \
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz \
    CONFIG.PCW_USE_M_AXI_GP0 1 \
    CONFIG.PCW_USE_S_AXI_HP0 1 \
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 32] $ps
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
    -config {make_external "FIXED_IO, DDR" Master "Disable" Slave "Disable"} $ps

set dma [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma:7.1 axi_dma_0]
set_property -dict [list \
    CONFIG.c_include_sg 0 \
    CONFIG.c_sg_include_stscntrl_strm 0 \
    CONFIG.c_sg_length_width 23 \
    CONFIG.c_m_axi_mm2s_data_width 32 \
    CONFIG.c_m_axis_mm2s_tdata_width 32 \
    CONFIG.c_m_axi_s2mm_data_width 32] $dma

create_bd_cell -type module -reference hv_accel hv_accel_0
connect_bd_intf_net [get_bd_intf_pins axi_dma_0/M_AXIS_MM2S] [get_bd_intf_pins hv_accel_0/s_axis]
connect_bd_intf_net [get_bd_intf_pins hv_accel_0/m_axis] [get_bd_intf_pins axi_dma_0/S_AXIS_S2MM]

# Control: the processor's GP0 to both slaves. Data: both masters of the DMA to HP0.
foreach slave {axi_dma_0/S_AXI_LITE hv_accel_0/s_axi} {
    apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
        -config [list Master /processing_system7_0/M_AXI_GP0 Clk Auto] [get_bd_intf_pins $slave]
}
apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
    -config [list Master /axi_dma_0/M_AXI_MM2S Clk Auto] \
    [get_bd_intf_pins processing_system7_0/S_AXI_HP0]
apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
    -config [list Slave /processing_system7_0/S_AXI_HP0 Clk Auto] \
    [get_bd_intf_pins axi_dma_0/M_AXI_S2MM]

assign_bd_address
validate_bd_design
save_bd_design
add_files -norecurse [make_wrapper -files [get_files hawkvision.bd] -top]
set_property top hawkvision_wrapper [current_fileset]

launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "implementation failed" }
set slack [get_property STATS.WNS [get_runs impl_1]]
if {$slack < 0} { error "timing is not met at $clock_mhz MHz: worst slack $slack ns" }
puts "worst slack $slack ns at $clock_mhz MHz"

open_run impl_1
report_utilization -file [file join $here utilization.txt]
report_power -file [file join $here power.txt]
set runs [file join $here vivado hawkvision.runs impl_1]
set handoff [file join $here vivado hawkvision.gen sources_1 bd hawkvision hw_handoff]
file copy -force [file join $runs hawkvision_wrapper.bit] [file join $here edge.bit]
file copy -force [file join $handoff hawkvision.hwh] [file join $here edge.hwh]
