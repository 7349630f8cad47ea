"""The one rule by which a sum becomes a fixed-point number of fewer bits."""

__all__ = ["rescale", "saturate"]


def rescale(value, shift, low, high):
    """Return ``value * 2**-shift``, rounded half to even and saturated to ``low`` .. ``high``.

    ``value`` is an integer or a NumPy array of integers; ``shift`` may be negative. The hardware
    (`hdl.drain`) and the generated C follow the same steps: an arithmetic shift, then one more
    where the bits shifted out exceed a half, or equal it and the result is odd.
    """
    if shift <= 0:
        rounded = value << -shift
    else:
        floor = value >> shift
        rest = value - (floor << shift)
        half = 1 << shift - 1
        rounded = floor + (rest + (floor & 1) > half)
    return saturate(rounded, low, high)


def saturate(value, low, high):
    """Return ``value``, or the nearer of ``low`` and ``high`` where it lies outside them."""
    clip = getattr(value, "clip", None)
    return clip(low, high) if clip else min(max(value, low), high)
