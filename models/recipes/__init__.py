"""Training, quantization and export of the cascades in `models/zoo/` (extra `train`)."""
