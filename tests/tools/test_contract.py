"""The contract that others read is what the code does."""

from tools.contract import PAGE, page


def test_current() -> None:
    """docs/contract.md is what the schemas give; `python tools/contract.py` writes it anew."""
    assert PAGE.read_text() == page()
