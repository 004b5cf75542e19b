from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.kernels.float_keys import first_key_where, from_keys, mantissa_bits, one_key, to_keys

DTYPES = ("float32", "float64")
SPECIAL = (0.0, 1e-45, 5e-324, 1.1754944e-38, 1e-7, 0.25, 0.5, 1.0)


def probabilities(dtype: str) -> st.SearchStrategy[float]:
    width = 32 if dtype == "float32" else 64
    return st.one_of(st.floats(0, 1, width=width), st.sampled_from(SPECIAL)).map(abs)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_keys_order_like_their_values_and_lead_back_to_them(dtype: str, data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(probabilities(dtype), max_size=20)), dtype=dtype)
    keys = to_keys(values)
    assert keys.dtype == np.int64
    assert from_keys(keys, dtype).dtype == dtype
    np.testing.assert_array_equal(from_keys(keys, dtype), values)
    np.testing.assert_array_equal(keys[:, None] < keys, values[:, None] < values)
    np.testing.assert_array_equal(keys[:, None] == keys, values[:, None] == values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_neighbouring_values_have_neighbouring_keys(dtype: str) -> None:
    for value in np.array([0, 1e-40, 1e-7, 0.5, 0.75], dtype=dtype):
        above = np.nextafter(value, np.dtype(dtype).type(1))
        low, high = to_keys(np.array([value, above]))
        assert high - low == 1
    assert one_key(dtype) == to_keys(np.ones(1, dtype))[0]
    assert mantissa_bits(dtype) == np.finfo(dtype).nmant


def test_keys_of_a_strided_matrix_keep_its_shape() -> None:
    matrix = np.linspace(0, 1, 12).reshape(3, 4).astype(np.float32)
    np.testing.assert_array_equal(to_keys(matrix[:, ::2]), to_keys(matrix)[:, ::2])
    np.testing.assert_array_equal(to_keys(matrix.T), to_keys(matrix).T)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_the_first_key_of_a_monotone_predicate_is_exact(dtype: str, data: st.DataObject) -> None:
    limits = np.array(data.draw(st.lists(probabilities(dtype), min_size=1, max_size=8)), dtype=dtype)
    np.testing.assert_array_equal(first_key_where(lambda p: p >= limits, len(limits), dtype), to_keys(limits))
    np.testing.assert_array_equal(
        first_key_where(lambda p: p > limits, len(limits), dtype), to_keys(limits) + 1
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_predicate_that_always_or_never_holds_has_its_cut_at_an_end(dtype: str) -> None:
    assert first_key_where(lambda p: p >= 0, 1, dtype).tolist() == [0]
    assert first_key_where(lambda p: p > 1, 1, dtype).tolist() == [one_key(dtype) + 1]
    assert len(first_key_where(lambda p: p >= 0, 0, dtype)) == 0
