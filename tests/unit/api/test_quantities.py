from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.api import quantities

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
QUANTITIES = st.builds(
    lambda number, fraction, suffix: f"{number}.{fraction}{suffix}",
    st.integers(-9999, 9999),
    st.integers(0, 999),
    st.sampled_from([*SUFFIXES, "e3", "E-3", "e0"]),
)


@pytest.mark.parametrize(
    ("text", "value", "canonical"),
    [
        pytest.param("1", 1, "1", id="whole"),
        pytest.param(2, 2, "2", id="number"),
        pytest.param("+5", 5, "5", id="plus-sign-is-dropped"),
        pytest.param("5.", 5, "5", id="point-without-digits-after"),
        pytest.param(".5", "0.5", "500m", id="point-without-digits-before"),
        pytest.param("1000m", 1, "1", id="thousand-milli-is-one"),
        pytest.param("1500m", "1.5", "1500m", id="milli-stays-when-not-whole"),
        pytest.param("1000k", 10**6, "1M", id="thousand-kilo-is-a-mega"),
        pytest.param("1024Mi", 2**30, "1Gi", id="binary-goes-up"),
        pytest.param("1.5Gi", 3 * 2**29, "1536Mi", id="binary-fraction-goes-down"),
        pytest.param("-1024Ki", -(2**20), "-1Mi", id="binary-negative"),
        pytest.param("0.5Ki", 512, "512", id="binary-below-1024-is-decimal"),
        pytest.param("1.3Ki", "1331.2", "1332", id="binary-fraction-of-a-byte-rounds-up"),
        pytest.param("0Gi", 0, "0", id="zero-has-no-suffix"),
        pytest.param("1e3", 1000, "1e3", id="exponent-stays"),
        pytest.param("1.5E3", 1500, "1500", id="exponent-goes-when-not-needed"),
        pytest.param("1e-3", "0.001", "1e-3", id="exponent-negative"),
        pytest.param("1E", 10**18, "1E", id="exa-is-no-exponent"),
        pytest.param("8Ei", 2**63 - 1, "9223372036854775807", id="capped"),
        pytest.param("-9E", -9 * 10**18, "-9E", id="negative-below-the-cap"),
        pytest.param("0.1n", "1e-9", "1n", id="rounded-up-to-nano"),
    ],
)
def test_a_quantity_is_read_and_spelt(text: str | int, value: str, canonical: str) -> None:
    assert quantities.parse(text) == Decimal(value)
    assert quantities.canonical(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "lots", "1 Gi", "1gi", "1K", "--1", "1e", "1e999", "1" * 65, True, "1Gi\n"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantities.parse(text)


@given(QUANTITIES)
def test_the_canonical_spelling_is_stable(text: str) -> None:
    spelt = quantities.canonical(text)

    if text.endswith("i"):  # Rounded up to whole bytes, which are then spelt as a decimal.
        assert quantities.same(quantities.canonical(spelt), spelt)
    else:
        assert quantities.canonical(spelt) == spelt
        assert quantities.same(spelt, text)


def test_two_spellings_of_one_number_are_the_same() -> None:
    assert quantities.same("1Gi", "1024Mi")
    assert quantities.same("1Gi", 2**30)
    assert not quantities.same("1G", "1Gi")
