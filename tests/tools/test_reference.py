from tools import reference


def test_the_reference_is_current() -> None:
    """docs/reference is what the code says; `make docs` writes it anew."""
    pages = {"cli.md": reference.command_line(), "configuration.md": reference.configuration()}
    assert {name: (reference.FOLDER / name).read_text() for name in pages} == pages
