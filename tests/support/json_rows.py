"""Every type that JSON holds exactly, and rows of all of them."""

from datetime import UTC, timedelta
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    SmallInteger,
    String,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

TYPES: dict[str, Any] = {
    "a_uuid": Uuid, "a_word": String, "a_text": Text, "an_instant": DateTime(timezone=True), "a_date": Date,
    "some_json": JSONB, "a_bigint": BigInteger, "an_integer": Integer, "a_smallint": SmallInteger, "a_boolean": Boolean,
    "a_float": Float, "texts": ARRAY(Text), "instants": ARRAY(DateTime(timezone=True)),
    "smallints": ARRAY(SmallInteger), "a_span": Interval,
}  # fmt: skip

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_INSTANTS = st.datetimes(timezones=st.just(UTC))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.fixed_dictionaries({
    "a_uuid": st.none() | st.uuids(), "a_word": st.none() | _TEXT, "a_text": st.none() | _TEXT,
    "an_instant": st.none() | _INSTANTS, "a_date": st.none() | st.dates(),
    "some_json": st.none() | st.dictionaries(_TEXT, _JSON, max_size=3) | st.lists(_JSON, max_size=3),
    "a_bigint": st.none() | st.integers(-(2**63), 2**63 - 1),
    "an_integer": st.none() | st.integers(-(2**31), 2**31 - 1),
    "a_smallint": st.none() | st.integers(-(2**15), 2**15 - 1), "a_boolean": st.none() | st.booleans(),
    "a_float": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "texts": st.none() | st.lists(st.none() | _TEXT, max_size=3),
    "instants": st.none() | st.lists(_INSTANTS, max_size=3),
    "smallints": st.none() | st.lists(st.integers(-(2**15), 2**15 - 1), max_size=3),
    "a_span": st.none() | st.timedeltas(timedelta(days=-40_000), timedelta(days=40_000)),
})  # fmt: skip
