"""The hardware: blocks, the network put together from them, its buses."""
