"""The mapping of a source whose columns have the canonical names and units already."""

from collections.abc import Collection

from kernels.schema import CANONICAL, POSITION, is_column_name
from operators.mapping import Id, Level, Mapping, Planar, Quantity, Time

__all__ = ["canonical_mapping"]


def canonical_mapping(names: Collection[str]) -> Mapping:
    """Return the mapping for a source with columns `names`; those that cannot name a column are left out.

    >>> canonical_mapping(["agent_id", "time_us", "x_m", "y_m", "z_m", "speed_mps", "Remarks"]).makes[-1]
    'speed_mps'
    """
    further = [name for name in names if is_column_name(name) and (name == "energy" or name not in CANONICAL)]
    return Mapping(
        agent=Id("agent_id"),
        time=Time("time_us", "us"),
        position=Planar(*(Quantity(name, "m") for name in POSITION)),
        seq="seq" if "seq" in names else None,
        level=Level("level") if "level" in names else 0,
        cause_agent=Id("cause_agent") if "cause_agent" in names else None,
        cause_seq="cause_seq" if "cause_seq" in names else None,
        columns={name: Quantity(name) for name in further},
    )
