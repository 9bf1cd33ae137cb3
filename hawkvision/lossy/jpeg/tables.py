"""The fixed tables of RTP/JPEG: quantization by quality factor, and the Huffman tables.

RFC 2435 appendices A and B; ITU-T T.81 annex K.1 and K.3. Quantization tables are in zigzag
order, as in a DQT segment.
"""

from __future__ import annotations

from functools import lru_cache

_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMA = bytes.fromhex("1112121815182f1a1a2f634238426363" + "63" * 48)

HUFFMAN_SEGMENTS = bytes.fromhex(
    "ffc4001f0000010501010101010100000000000000000102030405060708090a0b"
    "ffc400b5100002010303020403050504040000017d010203000411051221314106"
    "13516107227114328191a1082342b1c11552d1f02433627282090a161718191a25"
    "262728292a3435363738393a434445464748494a535455565758595a6364656667"
    "68696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6"
    "a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2"
    "e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    "ffc4001f0100030101010101010101010000000000000102030405060708090a0b"
    "ffc400b51100020102040403040705040400010277000102031104052131061241"
    "510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718"
    "191a262728292a35363738393a434445464748494a535455565758595a63646566"
    "6768696a737475767778797a82838485868788898a92939495969798999aa2a3a4"
    "a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9da"
    "e2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
"""Four DHT segments: luminance DC and AC, chrominance DC and AC (T.81 tables K.3 to K.6)."""

FALLBACK_QUALITY = 75
"""Assumed where a stream's own tables never arrived; such a frame is never certified."""


@lru_cache(maxsize=128)
def quantization_tables(quality: int) -> bytes:
    """Luminance and chrominance tables, 128 bytes, for a Q of 1 to 99 (RFC 2435, section 4.2)."""
    if not 1 <= quality <= 99:
        raise ValueError(f"a computed Q is 1 to 99, not {quality}")
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return bytes(min(255, max(1, (base * scale + 50) // 100)) for base in _LUMA + _CHROMA)


@lru_cache(maxsize=1)
def _by_tables() -> dict[bytes, int]:
    return {quantization_tables(quality): quality for quality in range(99, 0, -1)}


def quality_of(tables: bytes) -> int | None:
    """The Q whose computed tables these are, or None for tables of another making."""
    return _by_tables().get(tables)
