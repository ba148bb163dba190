import math

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import columns, texts

from kernels.errors import BadRecord, ConfigError
from kernels.hashing import hash_text
from kernels.row_writer import encode_rows
from kernels.rows import Encoding, canonical_columns, decode_rows
from kernels.schema import MAX_LEVEL, MAX_RECORD_BYTES, POSITION, Columns

ENCODINGS: list[Encoding] = ["msgpack", "json"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(given_columns=columns(wild=True), per_record=st.integers(1, 50), data=st.data())
def test_columns_come_back_from_rows(
    encoding: Encoding, given_columns: Columns, per_record: int, data: st.DataObject
) -> None:
    """Rows written from columns give the same bits again, NaN as NaN, but for what can be no event in rows."""
    made = given_columns | {axis: np.nan_to_num(given_columns[axis], posinf=1, neginf=2) for axis in POSITION}
    made |= {"level": made["level"] % (MAX_LEVEL + 1)} if "level" in made else {}
    n = made["time_us"].size
    records = encode_rows(made, encoding, per_record=per_record)
    assert len(records) == -(-n // per_record)
    found = [canonical_columns(decode_rows(record, encoding)) for record in records]
    assert not any(canonical.bad for canonical in found)
    for name, values in made.items() if found else ():
        again = np.concatenate([canonical.columns[name] for canonical in found])
        assert again.dtype == values.dtype
        assert (
            np.where(np.isnan(values), 0, values).tobytes() == np.where(np.isnan(again), 0, again).tobytes()
        )
        np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(given_columns=columns(min_events=1), names=st.lists(texts(), min_size=1))
def test_named_agents_are_written_as_their_text(
    encoding: Encoding, given_columns: Columns, names: list[str]
) -> None:
    """Agents whose texts are known come back with the same id and text, beside agents that have none."""
    ids = np.array([hash_text(text) for text in names], dtype=np.uint64)
    agents = given_columns["agent_id"].copy()
    agents[: ids.size] = ids[: agents.size]
    known = {hash_text(text): text for text in names}
    [record] = encode_rows(given_columns | {"agent_id": agents}, encoding, per_record=1000, names=known)
    found = canonical_columns(decode_rows(record, encoding))
    assert found.columns["agent_id"].tolist() == agents.tolist()
    assert found.names == {agent: known[agent] for agent in agents.tolist() if agent in known}


def test_one_row_a_record_is_a_map_and_more_are_arrays() -> None:
    """A record of one row by one is a map; the last record of an array may be shorter."""
    three: Columns = {"agent_id": np.arange(3, dtype="<u8"), "x_m": np.array([0.5, np.nan, np.inf], "<f4")}
    assert encode_rows(three, "json")[1] == b'{"agent_id":1,"x_m":null}'
    assert encode_rows(three, "json", per_record=2) == [
        b'[{"agent_id":0,"x_m":0.5},{"agent_id":1,"x_m":null}]',
        b'[{"agent_id":2,"x_m":1e999}]',
    ]
    assert msgpack.unpackb(encode_rows(three, "msgpack", per_record=2)[1]) == [
        {"agent_id": 2, "x_m": math.inf}
    ]


def test_records_of_rows_that_cannot_be_are_not_written() -> None:
    """A number of rows a record that is not 1 to 65,536 is an error, and so is a record over 8 MiB."""
    for per_record in (0, 65_537):
        with pytest.raises(ConfigError, match=str(per_record)):
            encode_rows({"agent_id": np.zeros(1, "<u8")}, "json", per_record=per_record)
    large: Columns = {f"m{k}": np.full(65_536, 0.1, "<f4") for k in range(8)}
    with pytest.raises(BadRecord, match=str(MAX_RECORD_BYTES)):
        encode_rows(large, "json", per_record=65_536)
