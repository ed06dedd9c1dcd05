"""Kubernetes quantities ("500m", "1.5Gi", 2): value, canonical spelling, equality.

Follows k8s.io/apimachinery `resource.Quantity`: rounded up to nano, capped at 2^63-1.
Used by the resources' types, by memory admission and by the settings.
"""

import re
from decimal import ROUND_UP, Context, Decimal
from typing import Final

PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_PARTS: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"
)
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_NANO: Final = Decimal("1e-9")
_CAP: Final = Decimal(2**63 - 1)
_KIBI: Final = 1024
# Wide enough for every number that a quantity of at most 64 characters can hold.
_WIDE: Final = Context(prec=200, rounding=ROUND_UP, Emax=999_999, Emin=-999_999)
_MAX_LENGTH: Final = 64
_MAX_EXPONENT: Final = 99


def parse(text: str | int) -> Decimal:
    """Give the number that a quantity stands for.

    Raises:
        ValueError: the text is no quantity.
    """
    return _split(text)[0]


def canonical(text: str | int) -> str:
    """Spell a quantity as the API server does: "1000m" is "1", "1024Mi" is "1Gi".

    Raises:
        ValueError: the text is no quantity.
    """
    value, suffix = _split(text)
    if value == 0:
        return "0"
    if suffix in _BINARY[1:] and abs(value) >= _KIBI:
        return _binary(value)
    exponent = _thousands(value)
    mantissa = int(value.scaleb(-exponent, _WIDE))
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_decimal_suffix(exponent)}"


def same(left: str | int, right: str | int) -> bool:
    """Tell whether two spellings stand for one number."""
    return parse(left) == parse(right)


def _split(text: str | int) -> tuple[Decimal, str]:
    spelt = str(text)
    parts = _PARTS.fullmatch(spelt) if len(spelt) <= _MAX_LENGTH else None
    if isinstance(text, bool) or parts is None:
        raise ValueError(f"{spelt[:_MAX_LENGTH]!r} is not a quantity such as 500m, 2 or 1.5Gi")
    suffix = parts["suffix"] or ""
    number = _WIDE.multiply(Decimal(parts["number"]), _factor(suffix))
    rounded = number.quantize(_NANO, context=_WIDE)
    return max(min(rounded, _CAP), -_CAP), suffix


def _factor(suffix: str) -> Decimal:
    if suffix in _DECIMAL:
        return Decimal(10) ** _DECIMAL[suffix]
    if suffix in _BINARY:
        return Decimal(_KIBI) ** _BINARY.index(suffix)
    exponent = int(suffix[1:])
    if abs(exponent) > _MAX_EXPONENT:
        raise ValueError(f"exponent {exponent} of a quantity is out of range")
    return Decimal(10) ** exponent


def _binary(value: Decimal) -> str:
    whole = int(value.to_integral_value(rounding=ROUND_UP))
    step = 0
    while whole % _KIBI == 0 and step + 1 < len(_BINARY):
        whole //= _KIBI
        step += 1
    return f"{whole}{_BINARY[step]}"


def _thousands(value: Decimal) -> int:
    """Find the largest power of a thousand that leaves a whole number."""
    exponent = -9
    while exponent < max(_DECIMAL.values()) and value.scaleb(-exponent - 3, _WIDE) % 1 == 0:
        exponent += 3
    return exponent


def _decimal_suffix(exponent: int) -> str:
    return next(suffix for suffix, power in _DECIMAL.items() if power == exponent)
