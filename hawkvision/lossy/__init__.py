"""Lossy transport: RTP/JPEG over SRTP, sans-I/O. Nothing here opens a socket or reads a clock."""
