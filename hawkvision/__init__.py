"""HawkVision core: accuracy targets, cascades, engines, images. Imports no service."""

__version__ = "0.1.0"
