"""Which recovery store the unfinished results in a folder belong to: its id stands in `.parts/run` there."""

from pathlib import Path

from kernels.errors import AuraError
from operators.file_sink import PARTS, clear_parts
from service.recovery.shape import START_OVER

__all__ = ["claim", "owner_of"]


def claim(results: Path, store: str, directory: Path, *, resumed: bool) -> None:
    """Let the results so far belong to a store, or refuse those that do not.

    Parameters
    ----------
    results
        Their folder.
    store, directory
        The id of the store, and where it is.
    resumed
        Whether it goes on from what was done before: then there must be results, and they must be its own.

    Raises
    ------
    AuraError
        They are another store's, or gone.
    """
    owner = owner_of(results)
    if owner == store:
        return
    if owner is not None or resumed:
        raise AuraError(
            f"the results so far in {results / PARTS} belong to {owner or 'no recovery store'}, "
            f"not to {store} in {directory}",
            f"Put the folder back, {START_OVER}",
        )
    clear_parts(results)
    parts = results / PARTS
    parts.mkdir(parents=True)
    (parts / "run").write_text(store)


def owner_of(results: Path) -> str | None:
    """Return the id of the store that the parts in `results` belong to; None if there are none of any."""
    file = results / PARTS / "run"
    return file.read_text() if file.exists() else None
