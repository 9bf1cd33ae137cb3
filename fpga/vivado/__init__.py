"""The Vivado project around the generated Verilog; written, not run here."""
