"""Quantized networks in numpy: import, specification, folding, plans. No hardware description."""
