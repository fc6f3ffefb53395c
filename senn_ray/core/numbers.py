"""Numbers as text: significant digits, without an exponent where people need none."""

import math

PLAIN_FROM, PLAIN_BELOW = 1e-4, 1e6


def significant(value: float, digits: int, *, sign: bool = False) -> str:
    """Round to significant digits, such as 99.6 to ``100`` with two of them.

    ``format`` with ``g`` has the same digits, but writes that number as ``1e+02``.
    """
    plus = "+" if sign else ""
    rounded = float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value
    if not PLAIN_FROM <= abs(rounded) < PLAIN_BELOW:
        return f"{value:{plus}.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:{plus}.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
