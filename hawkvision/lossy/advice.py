"""What is told about a stream: a code that stays the same, and what to do, for people."""

from __future__ import annotations

ADVICE: dict[str, str] = {
    # What a camera could do better; said once.
    "no_restart_markers": "The camera sends no restart markers: a lost packet costs the rest of "
    "the image. Encode in slices (one row of MCUs each).",
    "undecodable": "Whole frames do not decode: the camera uses Huffman tables of its own, which "
    "RTP/JPEG cannot carry (turn Huffman optimisation off), or its images are over 2040 px a side "
    "and the stream was opened without their size (FFmpeg sends those with a wrong one): say width "
    "and height when opening it, exactly as the camera has them.",
    "unplaced": "Parts arrived that could not be placed for sure and were left out: use restart "
    "intervals of a whole row of MCUs, or a sender that aligns packets to them.",
    "congestion": "The stream takes far more than its share of a lossy path. Lower the quality or "
    "the frame rate, or it is stopped.",
    "stopped": "The circuit breaker stopped the stream. Open another with less traffic.",
    # A camera that begins anew.
    "resumed": "The camera began anew and is answered again. Under SRTP that works only while its "
    "new sequence numbers are ahead of the old ones: open a stream for each start of a camera.",
    "restarted": "The camera began anew with a line that was in use. Its packets repeat the "
    "keystream of its SRTP key and are refused. Open another stream and start the camera with "
    "that stream's line.",
    "rejected": "Packets arrive, and none is authentic and new. The camera began anew with a line "
    "that was in use, or has another stream's key, or a recording is played: open another stream "
    "and start the camera with that stream's line.",
    "two_senders": "Packets come from two addresses under one SSRC; those of the first are taken. "
    "Stop one of the cameras, or open a stream for each.",
    "unknown_source": "RTP arrives under an SSRC that no stream has, while this one hears nothing. "
    "If it is this camera: give it the SSRC of the stream (GStreamer: rtpjpegpay ssrc=N, FFmpeg: "
    "-ssrc N), or open another stream where this camera's has ended.",
    "not_local": "RTP without SRTP arrives from another machine and is refused. Open a stream with "
    "SRTP (leave out suite) for this camera.",
    # What arrives and cannot be answered.
    "payload_type": "RTP arrives that is not payload type 26 (JPEG); H.264 or another coding, by "
    "its number. Encode as JPEG (GStreamer: avenc_mjpeg ! rtpjpegpay pt=26; FFmpeg: -c:v mjpeg "
    "-f rtp).",
    "interlaced": "The camera sends fields of interlaced video. Set it to progressive, or "
    "deinterlace before the encoder.",
    "jpeg_type": "The JPEG is neither 4:2:0 nor 4:2:2 (RTP/JPEG types 0, 1, 64, 65). Convert to "
    "4:2:0 before the encoder (GStreamer: video/x-raw,format=I420; FFmpeg: -pix_fmt yuvj420p).",
    "quality": "The camera sends Q 0 or Q 100 to 127, which RFC 2435 reserves. Set its JPEG "
    "quality to 1 to 99, or let it send its tables (Q 255).",
    "size": "The packets say no size: an image over 2040 px a side, of which RTP/JPEG cannot tell. "
    "Open a stream with the camera's width and height (at most 4096), or lower its resolution.",
    "restart_interval": "Packets say restart intervals of 0 MCUs, or number one that the picture "
    "does not have. Correct the camera's restart interval (DRI), or turn it off.",
    "tables": "Quantization tables are not one, two or three of 64 values of 8 bits. Turn custom "
    "tables off, or lower the quality until they fit 8 bits.",
    "no_tables": "The camera's quantization tables have not arrived; the colours are guessed and "
    "nothing is certified. Let it send them with every frame (Q 255).",
    "malformed": "Packets arrive that are not RTP/JPEG, or are cut short. Is the camera's MTU "
    "larger than the path's? Use the stream's own line.",
    "timestamps": "Packets arrive for frames that were answered already: the camera repeats "
    "timestamps, or takes longer for a frame than wait_ms. Let every frame have a timestamp of "
    "its own, or open a stream with a longer wait_ms.",
    "over_limit": "Frames are larger than a stream may hold (4 MiB, 4096 packets). Lower the "
    "camera's quality or resolution.",
}

ONCE = frozenset({"no_restart_markers", "undecodable", "unplaced", "congestion", "stopped"})
"""Said once for a stream; the others again while they last, at most once a second."""
EVERY_S = 1.0
