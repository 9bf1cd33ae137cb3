"""Packets: RTP, RTP/JPEG, RTCP, SRTP, parity."""
