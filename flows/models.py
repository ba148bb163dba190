"""The models of a configuration: read, held against their hashes, tried in a throw-away process, loaded."""

from flows.settings.root import Settings
from flows.settings.types import located
from kernels.backend import Backend
from kernels.errors import ConfigError
from kernels.onnx_model import MAX_BYTES, check_hash
from kernels.scorer import Scorer
from operators.model_probe import Probe

__all__ = ["ModelFiles"]


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
        self._files = {name: _read(settings, name) for name in sorted(used)}
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
        return {name: _load(self._settings, name, data, backend) for name, data in self._files.items()}


def _read(settings: Settings, name: str) -> bytes:
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


def _load(settings: Settings, name: str, data: bytes, backend: Backend) -> Scorer:
    model = settings.models[name]
    scorer = Scorer.load(data, sha256=model.sha256, backend=backend)
    return scorer if model.threshold is None else scorer.with_threshold(model.threshold)
