"""Model cards: what a model is, what it was made from, and how well it does, written by the script that made it."""

from kernels.scorer import Scorer, in_digits
from models.autoencoder import ALERTS_PER_1000, NEVER
from models.evaluate import Figure, Report

__all__ = ["write_card"]

_TITLES = {"event": "scores the report of an aircraft", "cell": "scores a (window, cell)"}
_LIMITS = {
    "event": """\
- Made from airliners in cruise (altitudes above 9.2 km, 70 to 270 m/s) that report every 10 s. Other aircraft, other
  rates of report, approaches and climbs were never seen: train it anew on them (`models/train.py`).
- An agent's first report, and its first after more than 10 minutes of silence, have no movement to judge.
- The first report of a frozen position cannot be told from one that came twice, which the source itself has 1.5 times
  in 1,000 reports. A frozen position is found from its second report on.
- A jump along the track hides among the honest reports of this source, whose times are off by up to a second: of jumps
  of 3 to 5 km a quarter is missed, beyond 7 km one in a thousand.
- The report after an anomaly shows it as well: expect alerts in pairs.""",
    "cell": """\
- For cells of 10 x 10 x 3 km, windows of 60 and 300 s, and aircraft that report every 10 s: counts depend on all three.
  Train it anew for others (`models/train.py`).
- It knows neither the place nor the hour of a cell: what is usual at a waypoint at noon is usual everywhere.
- It does not compare a cell with its neighbours: a result must not depend on how the world is cut into shards.
- A few more aircraft within a window of 300 s may look like dense traffic.""",
}
_INJECTED = {
    "event": "The four kinds are described and seeded in `models/anomalies.py`; the report after each is left out.",
    "cell": "Swarms are described and seeded in `models/anomalies.py`; every row whose window holds one is counted.",
}
_STALE = " Of these alerts {:.0%}\nare on reports that repeat the position of the one before: faults of the source."
_CARD = """\
# The model `{role}.onnx` {title}

Written by `python -m models.train`, which makes the same bytes from the same data on the same machine and packages.

| | |
| --- | --- |
| role, version | {role}, {version} |
| SHA-256 | `{sha256}` |
| training data | {training} |
| method | autoencoder; the largest residual of a feature in units of its limit, see `models/autoencoder.py` |
| size | {size:,} bytes, {numbers:,} numbers |
| output | `score`, 0 to 1 |
| threshold | {threshold}: {alerts:g} of 1,000 training rows scores above it |

## Features

| feature | meaning | unit | typical | spread | rare |
| --- | --- | --- | --- | --- | --- |
{features}

Typical is the median of the training rows, spread a quarter of the range between their 1st and 99th percentile, or the
resolution of what is reported; one training row in 1,000 lies further from typical than rare. A null feature counts as
typical.

## Figures on the held-out hours

Without any injection {report.alerts_per_1000:.2f} of 1,000 rows raise an alert, {report.clean_rows:,} rows.{stale}

| anomaly | rows | AUROC | found | simple rule: AUROC | simple rule: found |
| --- | --- | --- | --- | --- | --- |
{figures}

{injected}
*Found* is the share of the rows above the threshold. The simple rule is the largest deviation of a single feature from
typical, in spreads, above a threshold that raises as many false alerts. The size of the network was chosen among about
ten by figures like these, so they flatter it a little; weights, limits and threshold come from the training hours
alone.

## Limits of use

{limits}
"""


def write_card(scorer: Scorer, report: Report) -> str:
    """Return the card of a model as Markdown."""
    model = scorer.model
    return _CARD.format(
        role=model.role,
        title=_TITLES[model.role],
        version=model.version,
        sha256=model.sha256,
        training=model.training,
        size=len(model.data),
        numbers=sum(weights.size for weights in model.weights.values()),
        threshold=model.threshold,
        alerts=ALERTS_PER_1000,
        features=_features(scorer),
        report=report,
        stale=_STALE.format(report.stale_share) if report.stale_share else "",
        figures=_figures(report.figures),
        injected=_INJECTED[model.role],
        limits=_LIMITS[model.role],
    )


def _features(scorer: Scorer) -> str:
    return "\n".join(
        f"| `{f.name}` | {f.words} | {f.unit} | {in_digits(f.typical)} | {in_digits(f.spread)} | {_rare(f.rare)} |"
        for f in scorer.model.features
    )


def _rare(rare: float) -> str:
    return "never a reason" if rare == NEVER else in_digits(rare)


def _figures(figures: tuple[Figure, ...]) -> str:
    return "\n".join(
        f"| {f.kind} | {f.rows} | {f.auroc:.5f} | {f.found:.1%} | {f.simple_auroc:.5f} | {f.simple_found:.1%} |"
        for f in figures
    )
