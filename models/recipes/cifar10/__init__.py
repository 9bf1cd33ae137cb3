"""CIFAR-10 for the FPGA: quantized residual networks and their integer form."""
