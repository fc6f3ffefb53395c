import pytest
from hypothesis import given
from hypothesis import strategies as st

from senn_ray.core.numbers import PLAIN_BELOW, PLAIN_FROM, significant


@given(
    st.floats(PLAIN_FROM * 1.01, PLAIN_BELOW * 0.99), st.integers(1, 6), st.booleans()
)
def test_people_never_read_an_exponent_and_digits_are_right(value, digits, negative):
    value = -value if negative else value
    text = significant(value, digits)
    assert "e" not in text or abs(value) > 0.9 * PLAIN_BELOW
    # Half a unit of the last digit, as ``g`` has it.
    assert float(text) == float(f"{value:.{digits}g}")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (99.6, 2, "100"),
        (999.96, 4, "1000"),
        (0.0999, 2, "0.1"),
        (12345.6, 3, "12300"),
        (1e-7, 3, "1e-07"),
        (0.0, 3, "0"),
        (float("inf"), 3, "inf"),
        (float("nan"), 2, "nan"),
    ],
)
def test_numbers_at_the_edges(value, digits, text):
    assert significant(value, digits) == text


def test_a_difference_keeps_its_sign():
    assert significant(0.0167, 3, sign=True) == "+0.0167"
    assert significant(-99.96, 3, sign=True) == "-100"
