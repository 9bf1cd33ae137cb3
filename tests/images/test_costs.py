"""What is accepted costs what its header lets expect, in memory and in time."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from hawkvision.errors import PayloadTooLarge
from hawkvision.images import ImageLimits, decode
from tests.images.bombs import arithmetic_jpeg, baseline_jpeg, chunk, png, progressive_jpeg

SIDE = 1600
PIXELS = SIDE * SIDE
FACTOR = 40
"""Times the CPU time of a plain photo. The worst measured is 8; without limits it is over 100."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@lru_cache
def photo() -> Image.Image:
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (SIDE // 16, SIDE // 16, 3), np.uint8))
    fine = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(np.int16)
    return Image.fromarray(np.clip(fine + rng.integers(-9, 10, fine.shape), 0, 255).astype("u1"))


def clear() -> Image.Image:
    image = photo().copy()
    image.putalpha(Image.effect_noise((SIDE, SIDE), 90))
    return image


PALETTE = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256))
MAKERS = {
    "progressive photo": lambda: saved(photo(), "JPEG", quality=97, progressive=True),
    "32 scans": lambda: progressive_jpeg(SIDE, SIDE, 92),
    "a restart for each block": lambda: baseline_jpeg(SIDE, SIDE, interval=1),
    "scans not interleaved": lambda: baseline_jpeg(SIDE, SIDE, separate=True),
    "arithmetic": lambda: arithmetic_jpeg(SIDE, SIDE, np.random.default_rng(2).bytes(PIXELS)),
    "four colours": lambda: saved(photo().convert("CMYK"), "JPEG", progressive=True),
    "flat PNG": lambda: png(SIDE, SIDE),
    "PNG with alpha": lambda: saved(clear(), "PNG", compress_level=1),
    "PNG of 16 bits": lambda: png(SIDE, SIDE, depth=16),
    "palette": lambda: png(SIDE, SIDE, colour=3, before=PALETTE),
    "WebP": lambda: saved(photo(), "WEBP", quality=80, method=0),
    "WebP with alpha": lambda: saved(clear(), "WEBP", quality=80, method=0),
    "lossless WebP": lambda: saved(clear(), "WEBP", lossless=True, quality=0, method=0),
    "tiny lossless WebP": lambda: saved(
        Image.new("RGB", (SIDE, SIDE)), "WEBP", lossless=True, quality=0, method=0
    ),
}
LIMITS = ImageLimits(max_scans=32)


@lru_cache
def made(what: str) -> bytes:
    return MAKERS[what]()


def cpu_s(data: bytes, repeats: int = 3) -> float:
    """The least CPU time of this thread that a decode took: others on the machine add to it."""
    found = []
    for _ in range(repeats):
        start = time.thread_time()
        decode(data, LIMITS, min_side=32)
        found.append(time.thread_time() - start)
    return min(found)


@pytest.fixture(scope="module")
def plain_s() -> float:
    return cpu_s(saved(photo(), "JPEG", quality=95, subsampling=0))


@pytest.mark.parametrize("what", MAKERS)
def test_no_accepted_image_takes_many_times_the_time_of_a_plain_photo(
    what: str, plain_s: float
) -> None:
    assert cpu_s(made(what)) < FACTOR * plain_s


def test_beyond_the_limit_of_scans_an_image_is_refused_in_no_time(plain_s: float) -> None:
    bomb = progressive_jpeg(SIDE, SIDE, 2000)
    start = time.thread_time()
    with pytest.raises(PayloadTooLarge, match="more than 32 times"):
        decode(bomb, LIMITS)
    assert time.thread_time() - start < plain_s


MEASURE = """
import io, resource, sys
from PIL import Image
from hawkvision.images import ImageLimits, decode
from hawkvision.images.decode import open_source
data = sys.stdin.buffer.read()
for kind in ("JPEG", "PNG", "WEBP"):
    warm = io.BytesIO()
    Image.new("RGB", (8, 8)).save(warm, kind)
    decode(warm.getvalue())
expected = open_source(data, ImageLimits()).peak_bytes(8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode(data, min_side=32)
print(expected, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.parametrize(
    ("what", "per_pixel"),
    [
        ("progressive photo", 4),
        ("four colours", 9),
        ("PNG with alpha", 5),
        ("palette", 2),
        ("PNG of 16 bits", 5),
        ("WebP", 7),
        ("WebP with alpha", 10),
        ("lossless WebP", 9),
    ],
)
def test_the_peak_of_memory_is_as_estimated(what: str, per_pixel: int) -> None:
    data = made(what)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], input=data, capture_output=True, check=True, timeout=300
    )
    expected, found = map(int, done.stdout.split())
    slack = 6 * 2**20  # what the allocator and the interpreter take meanwhile
    assert found <= 1.1 * expected + slack
    assert found <= PIXELS * per_pixel + 2 * len(data) + slack
    assert expected <= PIXELS * per_pixel + 2 * len(data) + slack
