"""The models of a configuration: read, held against their hashes, tried in a throw-away process, loaded.

A run with a recovery directory keeps a copy there of every model that it has accepted, by its hash. A file that is missing or
damaged later is refused, as ever, and the good copy takes its place: the hash that the configuration names decides.
"""

import logging
from pathlib import Path
from tempfile import NamedTemporaryFile

from flows.settings.root import Settings
from flows.settings.types import located
from kernels.backend import Backend
from kernels.errors import ConfigError
from kernels.onnx_model import MAX_BYTES, check_hash
from kernels.scorer import Scorer
from operators.model_probe import Probe

__all__ = ["ModelFiles", "accepted", "damaged_models", "keep", "load_swapped", "read_model_file"]

_KEPT = "models"
"""In the recovery directory, and beside a log of decisions: the copies."""
_log = logging.getLogger(__name__)


class ModelFiles:
    """The files of the models that a stage names; they are on trial from now on.

    Parameters
    ----------
    settings
        Validated.

    Raises
    ------
    ConfigError
        A file cannot be read, or has another hash than the configuration says.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        used = settings.models_used
        self._files = {name: accepted(settings, name) for name in sorted(used)}
        self._probe = Probe(self._files)

    def check(self) -> None:
        """Wait until a throw-away process has loaded all of them; ConfigError if it could not."""
        self._probe.wait()

    def load(self, backend: Backend) -> dict[str, Scorer]:
        """Return the models by name, run by `backend`, each with the threshold of the configuration where that has one.

        Raises
        ------
        ConfigError
            A model is refused, or the backend cannot run it.
        """
        self.check()
        return {
            name: _load(self._settings, name, data, self._settings.models[name].sha256, backend)
            for name, data in self._files.items()
        }


def damaged_models(settings: Settings) -> dict[str, str]:
    """Return the models in use whose files would be refused now, each with the reason."""
    found = {}
    for name in sorted(settings.models_used):
        try:
            read_model_file(settings, name)
        except ConfigError as error:
            found[name] = error.message
    return found


def keep(folder: Path, sha256: str, data: bytes) -> None:
    """Keep a model that was accepted in `folder`, beside a log of decisions that names it."""
    if not (path := folder / _KEPT / f"{sha256}.onnx").exists():
        _keep(path, data)


def load_swapped(settings: Settings, name: str, sha256: str, folder: Path, backend: Backend) -> Scorer:
    """Return the model that a decision names, from beside the log; it was tried before it was decided.

    Raises
    ------
    ConfigError
        Its copy is gone or damaged.
    """
    path = folder / _KEPT / f"{sha256}.onnx"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"models.{name}: the decisions name the model {sha256[:12]}, and {path} cannot be read: {error.strerror}",
            "The folder `models` beside decisions.jsonl belongs to it: put it back",
        ) from error
    return _load(settings, name, data, sha256, backend)


def accepted(settings: Settings, name: str) -> bytes:
    """Return the file of a model, or the copy that was kept when it was good."""
    recovery, sha256 = settings.recovery.directory, settings.models[name].sha256
    kept = recovery / _KEPT / f"{sha256}.onnx" if recovery is not None and recovery.is_dir() else None
    try:
        data = read_model_file(settings, name)
    except ConfigError as error:
        if kept is None or not kept.exists():
            raise
        data = kept.read_bytes()
        check_hash(data, sha256)
        _log.warning("%s; the last good copy takes its place", error.message)
        return data
    if kept is not None and not kept.exists():
        _keep(kept, data)
    return data


def _keep(path: Path, data: bytes) -> None:
    """Put the copy in place at once; the other processes of a cluster may do the same just now."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)


def read_model_file(settings: Settings, name: str) -> bytes:
    """Return the bytes of a configured model; ConfigError where they cannot be read or have another hash."""
    model = settings.models[name]
    try:
        with located(model.path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"models.{name}.path = {str(model.path)!r}: {error.strerror}") from error
    try:
        check_hash(data, model.sha256)
    except ConfigError as error:
        raise ConfigError(f"models.{name}: {error.message}", error.hint) from error
    return data


def _load(settings: Settings, name: str, data: bytes, sha256: str, backend: Backend) -> Scorer:
    scorer, threshold = Scorer.load(data, sha256=sha256, backend=backend), settings.models[name].threshold
    return scorer if threshold is None else scorer.with_threshold(threshold)
