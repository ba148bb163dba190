"""Train the model of events anew on an archive of the stream, and keep it only if it is as good as the one in use.

`python -m models.retrain ARCHIVE --against models/event.onnx --out DIRECTORY`: the first 70 % of the archive's events are
trained on, anomalies are put into the rest, and both models are judged on that. A model that passes is written as
`event.onnx`, with `event.json` beside it: its SHA-256, what both models did, and what it was trained on. One that
does not leaves the folder as it was, and the exit code is 1. So what a running flow is to swap in is always the last good one.

Both files have the name of what they were made from in them, and the same archive gives the same bytes on one machine.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kernels.errors import AuraError, ConfigError
from kernels.schema import Columns
from kernels.scorer import Scorer
from models.autoencoder import to_onnx, train
from models.evaluate import Figure, judge_events
from models.features import EVENT
from models.flights import event_features
from operators.archive_files import Archive
from operators.archive_reader import read_archive

__all__ = ["Verdict", "main", "read_events", "retrain"]

_TRAINED_SHARE = 0.7
_HIDDEN, _EPOCHS = (16, 8, 16), 20
_LEAST_EACH, _MOST_EACH = 20, 300  # anomalies of each kind: fewer say nothing, more gain nothing
# Events: an anomaly spoils up to eight reports of its aircraft, and needs steady ones around.
_HELD_PER_ANOMALY = 60
_AUROC_SLACK = 0.001  # what another draw of anomalies changes
_MOST_ALERTS = 2.0  # in 1,000 rows without anomalies


class Verdict(NamedTuple):
    """What became of a training.

    Attributes
    ----------
    data, sha256
        The new model.
    accepted
        Whether it may take the place of the one in use.
    said
        Figures of both models on the held-out events, and what was trained on, as in `event.json`.
    """

    data: bytes
    sha256: str
    accepted: bool
    said: dict[str, Any]


def retrain(columns: Columns, incumbent: Scorer, *, source: str) -> Verdict:
    """Train on the first part of the events, and judge the new model and the one in use on the rest.

    Parameters
    ----------
    columns
        (N,) canonical columns in order of time.
    incumbent
        The model in use.
    source
        Where the events are from, for the model's own words.

    Raises
    ------
    ConfigError
        A column is missing, or there are too few events to judge a model by.
    """
    after_us, each = _split(columns)
    rows = event_features(columns, tuple(i.name for i in EVENT))[columns["time_us"] < after_us]
    training = f"{source}, {len(rows):,} rows before {datetime.fromtimestamp(after_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
    network = train(rows, EVENT, hidden=_HIDDEN, epochs=_EPOCHS)
    candidate = Scorer.load(to_onnx(network, EVENT, role="event", training=training))
    new, old = (_figures(scorer, columns, after_us=after_us, each=each) for scorer in (candidate, incumbent))
    better = new["auroc"] >= old["auroc"] - _AUROC_SLACK and new["alerts_per_1000"] <= _MOST_ALERTS
    said = {
        "sha256": candidate.sha256, "training": training, "anomalies_each": each,
        "candidate": new, "incumbent": old | {"sha256": incumbent.sha256},
    }  # fmt: skip
    return Verdict(candidate.model.data, candidate.sha256, better, said)


def read_events(archive: Archive) -> Columns:
    """Return the columns of all events of an archive, ordered by time, agent and place."""
    names = archive.columns
    pieces = [
        piece.columns
        for partition in range(archive.partitions)
        for piece in read_archive(archive, partition, names)
        if len(piece.broker_us)
    ]
    if not pieces:
        raise ConfigError(f"{archive.folder} holds no events", "Archive a topic that has some: aura archive")
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in names}
    order = np.lexsort((joined["agent_id"], joined["time_us"]))
    return {name: values[order] for name, values in joined.items()}


def _split(columns: Columns) -> tuple[int, int]:
    """Return the time at which training ends, and how many anomalies of each kind the rest can take."""
    wanted = {"speed_mps", "climb_mps", "energy", "heading_rad"}
    if missing := sorted(wanted - columns.keys()):
        raise ConfigError(
            f"the archive has no columns {', '.join(missing)}", "Map them in [input.mapping] and archive anew"
        )
    time_us = columns["time_us"]
    after_us = int(time_us[int(_TRAINED_SHARE * len(time_us))])
    held = int((time_us >= after_us).sum())
    each = min(_MOST_EACH, held // _HELD_PER_ANOMALY)
    if each < _LEAST_EACH:
        least = _LEAST_EACH * _HELD_PER_ANOMALY
        raise ConfigError(f"{held} events are held out to judge a model by, at least {least} are needed")
    return after_us, each


def _figures(scorer: Scorer, columns: Columns, *, after_us: int, each: int) -> dict[str, float]:
    report = judge_events(scorer, columns, after_us=after_us, each=each)
    overall: Figure = report.figures[-1]
    return {
        "auroc": round(overall.auroc, 5),
        "found": round(overall.found, 4),
        "alerts_per_1000": round(report.alerts_per_1000, 3),
    }


def _write(verdict: Verdict, folder: Path) -> None:
    """Put the model into the folder, at once, after what is said of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "event.json").write_text(json.dumps(verdict.said, indent=2) + "\n", encoding="utf-8")
    temporary = folder / ".event.onnx"
    temporary.write_bytes(verdict.data)
    temporary.replace(folder / "event.onnx")


def main(arguments: Sequence[str]) -> int:
    """Train, judge, and write what passes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.retrain", description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, help="folder of an archive: aura archive --out")
    parser.add_argument("--against", type=Path, default=Path(__file__).with_name("event.onnx"), help="in use")
    parser.add_argument("--out", type=Path, required=True, help="folder for event.onnx and event.json")
    asked = parser.parse_args(arguments)
    try:
        archive, incumbent = Archive.open(asked.archive), Scorer.load(asked.against.read_bytes())
        verdict = retrain(read_events(archive), incumbent, source=f"archive of {archive.topic}")
    except AuraError as error:
        print(f"retrain: {error}", file=sys.stderr)
        return 1
    print(json.dumps(verdict.said | {"accepted": verdict.accepted}))
    if verdict.accepted:
        _write(verdict, asked.out)
    return 0 if verdict.accepted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
