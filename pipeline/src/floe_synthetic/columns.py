"""Arrow columns straight from NumPy buffers: exact decimals and times without a Python object a row."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from floe_synthetic.draws import Ints

Column: TypeAlias = "pa.Array[Any]"


def numbers(kind: pa.DataType, values: Ints) -> Column:
    """A column without nulls.

    Args:
        kind: int64 or int32, a timestamp in microseconds, or a decimal128 of scale 2.
        values: shape (rows,): the numbers, microseconds since 1970, or cents.
    """
    buffer: npt.NDArray[Any]
    if pa.types.is_decimal128(kind):
        buffer = np.empty((len(values), 2), dtype="<i8")  # two's complement, 128 bits, low word first
        buffer[:, 0] = values
        buffer[:, 1] = values >> 63
    else:
        width = np.int32 if pa.types.is_int32(kind) else np.int64
        buffer = np.ascontiguousarray(values, dtype=width)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(buffer.data)])


def words(choice: Column, index: Ints) -> Column:
    """The entries of `choice` at these places; shape as `index`."""
    return choice.take(index)


def joined(separator: str, *parts: Column) -> Column:
    """Texts put together row by row with `separator` between them."""
    column: Column = pc.binary_join_element_wise(*parts, pa.scalar(separator))  # type: ignore[call-overload]
    return column


def texts(values: Ints, *, width: int = 0) -> Column:
    """Whole numbers written out, with zeros before them up to `width` digits."""
    return pc.utf8_lpad(numbers(pa.int64(), values).cast(pa.string()), width=width, padding="0")


def table(schema: pa.Schema, **columns: Ints | Column) -> pa.Table:
    """A table of `schema`; each column is given by name, as integers for `numbers` or as an Arrow array."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        arrays.append(numbers(field.type, values) if isinstance(values, np.ndarray) else values)
    return pa.Table.from_arrays(arrays, schema=schema)
