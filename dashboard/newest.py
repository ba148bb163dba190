"""Of results the rows of the newest event time, each as it was said last."""

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["newest"]


def newest(known: pa.Table | None, table: pa.Table) -> pa.Table | None:
    """Return the newest rows of what is known and of a table: what is said again of an `about` takes the place of it.

    Examples
    --------
    >>> def said(time_us, about):
    ...     return pa.table({"time_us": [time_us], "about": [about]})
    >>> newest(said(1, "a"), said(2, "a"))["time_us"].to_pylist()
    [2]
    >>> newest(said(2, "a"), said(2, "b"))["about"].to_pylist()
    ['a', 'b']
    """
    table = table.filter(pc.is_valid(table["time_us"]))  # a result without rows has none
    if not table.num_rows:
        return known
    newest_us = pc.max(table["time_us"]).as_py()
    known_us = known["time_us"][0].as_py() if known is not None else newest_us - 1
    if newest_us < known_us:
        return known
    rows = table.filter(pc.equal(table["time_us"], newest_us))
    if known is not None and newest_us == known_us:
        again = pc.is_in(known["about"].cast(pa.string()), pc.unique(rows["about"].cast(pa.string())))
        rows = pa.concat_tables([known.filter(pc.invert(again)), rows], promote_options="default")
    return rows.unify_dictionaries()
