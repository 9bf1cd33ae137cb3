"""Lossy streams: RTP in, answers out. Sockets, timers and HTTP around `hawkvision.lossy`."""
