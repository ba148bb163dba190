"""`aura models swap`: another model in the place of one, while the flow runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from flows.settings import Settings
    from operators.decisions import Swap

__all__ = ["app", "swap_model"]

app = typer.Typer(no_args_is_help=True, help="Swap the models of a running flow.")


@app.callback()
def _group() -> None:
    """Keep `swap` a command of its own, although it is the only one."""


@app.command(
    epilog="Example: aura models swap event models/event-2.onnx --sha256 694a... --set recovery.directory=state"
)
def swap(
    name: Annotated[str, typer.Argument(help="Of the configuration: models.NAME.")],
    file: Annotated[Path, typer.Argument(help="The ONNX file.")],
    *,
    sha256: Annotated[str, typer.Option(help="The hash that it must have, from its model card.")],
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Try a model in a throw-away process, and let it score from the next border of event time on.

    The configuration must say the same as that of the run. What is refused changes nothing.
    """
    found = swap_model(settings_of(profile, set_), name, file, sha256)
    words = f"models.{name} is {found.sha256[:12]} from {found.from_us / 1e6:.6f} s of event time on"
    print(json.dumps(found._asdict()) if as_json else words)


def swap_model(settings: "Settings", name: str, file: Path, sha256: str) -> "Swap":
    """Try a model, and decide that it takes the place of the one that has the name.

    Raises
    ------
    ConfigError
        It is refused, or it is not for the same rows.
    AuraError
        Nobody runs who would follow.
    """
    from flows.models import keep
    from kernels.errors import AuraError, ConfigError
    from operators.decisions import DecisionLog
    from service.degrade.governed import log_of

    if name not in settings.models_used:
        allowed = ", ".join(sorted(settings.models_used)) or "none"
        raise ConfigError(f"models.{name}: no stage runs it; allowed: {allowed}")
    log = DecisionLog(log_of(settings), settings.border_us)
    if not log.path.with_suffix(".reached").exists():
        raise AuraError(
            f"no flow that follows decisions runs: {log.path} was never begun",
            "Run with --set degradation.enabled=true, and name the folders here as there",
        )
    before, after = _tried(settings, name, file, sha256)
    for model in (before, after):
        keep(log.path.parent, *model)
    found = log.swap(name, before[0], sha256)
    if found is None:
        raise AuraError("the run has come to the end of its events", "Put the model into the configuration")
    return found


def _tried(
    settings: "Settings", name: str, file: Path, sha256: str
) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """Return the hashes and the bytes of the configured model and the new one, once that is known to fit."""
    from flows.models import accepted
    from kernels.errors import ConfigError
    from kernels.onnx_model import MAX_BYTES, check_hash, read_model
    from operators.model_probe import Probe

    with file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    check_hash(data, sha256)
    Probe({name: data}).wait()
    configured = settings.models[name].sha256
    old = accepted(settings, name)
    was, new = read_model(old, sha256=configured), read_model(data, sha256=sha256)
    for what, one, other in (
        ("role", was.role, new.role),
        ("features", [f.name for f in was.features], [f.name for f in new.features]),
    ):
        if one != other:
            raise ConfigError(
                f"models.{name}: the {what} of {file} are {other}, those of the model in use {one}",
                "Such a model needs a configuration, and a run, of its own",
            )
    return (configured, old), (sha256, data)
