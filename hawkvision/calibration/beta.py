"""The incomplete beta function and its inverse, in numpy alone.

`scipy.special` has both and costs a serving process 25 MB; the tests compare with it. Sources:
the continued fraction as in Didonato and Morris (ACM TOMS 18, 1992, equation 9, even part),
evaluated by Lentz's method; its factor as Loader writes binomial probabilities ("Fast and accurate
computation of binomial probabilities", 2000), which loses no digits where both numbers are large.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Floats)

_TERMS_BETWEEN = 8
"""Terms of the fraction between two looks whether it has converged."""

_MOST_TERMS = 100_000
_CONVERGED = 4e-16
_STEPS = 200
_LEAST = math.log(np.finfo(np.float64).tiny)
"""Of a logarithm: what is smaller is given as zero."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised function I_x(a, b), for a and b above 0 and x in [0, 1]."""
    if not 0 < x < 1:
        return float(x >= 1)
    one, two = np.array([a], np.float64), np.array([b], np.float64)
    lower, _, _ = _tails(one, two, _rest(one, two), np.array([x]), np.array([1 - x]))
    return float(lower[0])


def inverse_incomplete_beta(
    a: npt.ArrayLike, b: npt.ArrayLike, probability: npt.ArrayLike
) -> Floats:
    """x in [0, 1] with I_x(a, b) = `probability` in (0, 1), for a and b above 0.

    Broadcasts; float64. As precise as the probability allows, also next to 0.
    """
    one, two, lower = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (a, b, probability)))
    shape, one, two, lower = one.shape, one.ravel(), two.ravel(), lower.ravel()
    upper = 1 - lower
    half = np.full(one.shape, 0.5)
    swap = _tails(one, two, _rest(one, two), half, half)[0] < lower  # so that x is at most 1/2
    one, two = np.where(swap, two, one), np.where(swap, one, two)
    x = _small(one, two, np.where(swap, upper, lower), np.where(swap, lower, upper))
    found: Floats = np.where(swap, 1 - x, x).reshape(shape)
    return found


def _small(a: Floats, b: Floats, lower: Floats, upper: Floats) -> Floats:
    """The inverse where it is at most 1/2: Newton's steps on log x for the smaller tail's log.

    Both logs are concave, so that steps overshoot at most once; brackets hold them all the same.
    """
    rest = _rest(a, b)
    below = lower <= upper
    wanted = np.log(np.where(below, lower, upper))
    low, high = np.full(a.shape, 2 * _LEAST), np.full(a.shape, math.log(0.5))
    log_x = np.minimum(np.log(a / (a + b)), high)
    moving = np.arange(a.size)
    for _ in range(_STEPS):
        at = log_x[moving]
        x = np.exp(np.maximum(at, _LEAST))
        under, over, density = _tails(a[moving], b[moving], rest[moving], x, 1 - x)
        is_below = below[moving]
        tail = np.maximum(np.where(is_below, under, over), 1e-300)
        ahead = np.where(is_below, 1.0, -1.0) * (wanted[moving] - np.log(tail))
        low[moving] = np.where(ahead > 0, at, low[moving])
        high[moving] = np.where(ahead > 0, high[moving], at)
        step = ahead * tail / np.maximum(density, 1e-300)
        to = at + step
        inside = (to > low[moving]) & (to < high[moving])
        done = np.abs(step) <= 1e-15
        log_x[moving] = np.where(inside | done, to, (low[moving] + high[moving]) / 2)
        done |= (low[moving] > log_x[moving]) | (high[moving] - low[moving] < 1e-15)
        done |= log_x[moving] < _LEAST
        moving = moving[~done]
        if not moving.size:
            break
    found: Floats = np.where(log_x < _LEAST, 0.0, np.exp(log_x))
    return found


def _tails(
    a: Floats, b: Floats, rest: Floats, x: Floats, y: Floats
) -> tuple[Floats, Floats, Floats]:
    """I_x, its complement, and x times the density; x + y is 1, and `rest` is `_rest(a, b)`."""
    n = a + b
    deviance = _deviance(a, n * x) + _deviance(b, n * y)
    factor = np.sqrt(a / n * b / (2 * math.pi)) * np.exp(rest - deviance)
    first = x < (a + 1) / (n + 2)
    c, d = np.where(first, a, b), np.where(first, b, a)
    part = factor / _fraction(c, d, np.where(first, x, y), np.where(first, y, x))
    part = np.minimum(part, 1.0)
    return np.where(first, part, 1 - part), np.where(first, 1 - part, part), factor / y


def _rest(a: Floats, b: Floats) -> Floats:
    """What Stirling's formula leaves of log((a + b)! / (a! b!))."""
    found = [
        _left(n) - _left(p) - _left(q)
        for n, p, q in zip((a + b).tolist(), a.tolist(), b.tolist(), strict=True)
    ]
    return np.array(found, np.float64)


def _left(n: float) -> float:
    """log n! less Stirling's formula (NIST DLMF 5.11.1)."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - _HALF_LOG_2PI
    total, power = 0.0, 1 / n
    for coefficient in _STIRLING:
        total += coefficient * power
        power /= n * n
    return total


def _deviance(k: Floats, mean: Floats) -> Floats:
    """k log(k / mean) + mean - k, to the last digits also where both are nearly the same."""
    v = (k - mean) / (k + mean)
    near = np.abs(v) < 0.1
    far = k * np.log(k / np.maximum(mean, 5e-324)) + mean - k
    w = np.where(near, v, 0.0)
    term, total = 2 * k * w, (k - mean) * w
    for power in range(3, 29, 2):
        term = term * w * w
        total = total + term / power
    found: Floats = np.where(near, total, far)
    return found


def _fraction(a: Floats, b: Floats, x: Floats, y: Floats) -> Floats:
    """As `_lentz`; numbers alone are faster without arrays."""
    if a.size == 1:
        return np.array([_lentz(a.item(), b.item(), x.item(), y.item())])
    return _lentz(a, b, x, y)


def _lentz(a: Number, b: Number, x: Number, y: Number) -> Number:
    """The continued fraction; I_x(a, b) is x^a y^b / B(a, b) over it."""
    ahead = a * y - b * x
    first = a * (ahead + 1) / (a + 1)
    value, c, d = first, first, a * 0
    for m in range(1, _MOST_TERMS):
        odd = a + 2 * m - 1
        numerator = (a + m - 1) * (a + b + m - 1) / odd * m * (b - m) / odd * x * x
        denominator = m + m * (b - m) * x / odd + (a + m) / (odd + 2) * (ahead + 1 + m * (1 + y))
        d = 1 / (denominator + numerator * d)
        c = denominator + numerator / c
        value = value * c * d
        if m % _TERMS_BETWEEN == 0 and np.all(abs(c * d - 1) <= _CONVERGED):
            break
    return value
