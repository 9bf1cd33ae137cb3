# For synthesis of the accelerator on its own: the clock that the block design gives it.
create_clock -name aclk -period 10.000 [get_ports aclk]
