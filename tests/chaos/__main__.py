"""Scenarios that seeds choose, one after the other: `make chaos SEEDS=20`.

python -m chaos [--seeds N] [--first SEED] [--write FILE], with tests/ in PYTHONPATH

Prints the faults of each, what was lost and doubled, and whether the digests are equal; ends with 1 if a scenario does not
hold. With --write the figures go into a block of a document.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from chaos.arena import Plan, play
from chaos.faults import RANDOM
from chaos.verdict import Verdict

from infra.kafka.broker import Cluster

__all__ = ["main", "plan_of"]

_BLOCK = re.compile(r"(<!-- chaos -->\n).*?(<!-- /chaos -->)", re.DOTALL)
_OUTAGE_EVERY = 5  # scenarios: it takes long


def main() -> int:
    """Play the scenarios; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aura-brokers-") as folder:
        brokers = Cluster(Path(folder), brokers=3, port=0)
        try:
            brokers.start()
            found = [_scenario(brokers, seed) for seed in range(given.first, given.first + given.seeds)]
        finally:
            brokers.stop()
    lines = _summary(found, time.monotonic() - begun_s)
    print("\n".join(lines))
    if given.write:
        block = "\n".join(("```", *lines, "```", ""))
        given.write.write_text(_BLOCK.sub(lambda old: old[1] + block + old[2], given.write.read_text()))
    return 0 if all(verdict.good for verdict in found) else 1


def plan_of(seed: int) -> tuple[Plan, int]:
    """Return the faults of a seed, and with how many processes it begins."""
    rng = random.Random(seed)
    faults = rng.choices(RANDOM, k=rng.randint(3, 6))
    if seed % _OUTAGE_EVERY == 0:
        faults.insert(rng.randrange(len(faults)), "outage")
    shares = sorted(rng.uniform(0.1, 0.9) for _ in faults)
    return list(zip(shares, faults, strict=True)), rng.choice((2, 3))


def _scenario(brokers: Cluster, seed: int) -> Verdict:
    plan, processes = plan_of(seed)
    try:
        found = play(brokers, seed, plan, seconds=8.0, processes=processes)
    except (AssertionError, OSError) as error:
        found = Verdict(seed, [fault for _, fault in plan], broken=[str(error)[-3000:]])
        brokers.start()
    equal = "equal" if found.digests[0] == found.digests[1] != "" else "DIFFERENT"
    print(
        f"seed {seed}: lost {sum(found.lost.values())}, doubled {len(found.doubled)}, wrong {len(found.wrong)}, digests {equal}, "
        f"{found.records:,} records, {found.restarts} restarts, {found.seconds:.0f} s: {'; '.join(found.faults)}",
        *(f"\n  {what}" for what in found.broken),
        flush=True,
    )
    return found


def _summary(found: Sequence[Verdict], seconds: float) -> list[str]:
    faults = [
        re.sub(r"[\d.]+", "N", fault.partition(",")[0]) for verdict in found for fault in verdict.faults
    ]
    equal = sum(verdict.digests[0] == verdict.digests[1] != "" for verdict in found)
    return [
        f"{len(found)} scenarios, seeds {found[0].seed} to {found[-1].seed}, {os.cpu_count()} cores, {seconds / 60:.0f} minutes",
        f"faults injected {len(faults)}, restarts {sum(v.restarts for v in found)}",
        *(f"  {count:3d}  {what}" for what, count in sorted(Counter(faults).items())),
        f"records committed {sum(v.records for v in found):,}, lost {sum(sum(v.lost.values()) for v in found)}, "
        f"doubled {sum(len(v.doubled) for v in found)}, other than the oracle's {sum(len(v.wrong) for v in found)}",
        f"digests equal {equal} of {len(found)}; scenarios that hold {sum(v.good for v in found)} of {len(found)}",
    ]


if __name__ == "__main__":
    sys.exit(main())
