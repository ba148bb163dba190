"""Every command that a page, or the help itself, shows is one that there is, with options and keys that there are."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from flows.settings import load
from service.cli import app
from service.commands.options import overrides

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[!.]*/README.md")])
AURA = typer.main.get_command(app)
_CODE = re.compile(r"^```\w*\n(.*?)^```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_ENDS = {"|", "&&", ";", "#", ">", "||", "2>", "&"}


def shown(text: str) -> Iterator[list[str]]:
    """Yield the words of each line of code of a page, what follows a pipe as a line of its own."""
    for block, word in _CODE.findall(text):
        for line in (block or word).replace("\\\n", " ").splitlines():
            yield from _commands(line)


def _commands(line: str) -> Iterator[list[str]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # prose, or another language
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if word in _ENDS or word.endswith(";"):
            yield [*command, word.rstrip(";")] if word not in _ENDS else command
            command = []
        else:
            command.append(word)


def calls(text: str, program: str) -> list[tuple[str, ...]]:
    """Return what follows `program` in each line that calls it, variables before it left out."""
    found = []
    for words in shown(text):
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words and words[0].removeprefix(".venv/bin/") == program and "..." not in " ".join(words):
            found.append(tuple(words[1:]))
    return sorted(set(found))


def of_pages(program: str) -> list[Any]:
    """Return the calls of a program on all pages, each with its page."""
    return [
        pytest.param(call, id=f"{page.relative_to(ROOT)}: {' '.join(call)[:60]}")
        for page in PAGES
        for call in calls(page.read_text(), program)
        if program == "aura" or not page.name.startswith("your-")  # run whole, scripts that they write too
    ]


def leaves(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with the words that lead to it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*path, name))


def parse(words: tuple[str, ...]) -> None:
    """Let the command line take words apart, and do nothing with them; a command without any is a mention."""
    command: click.Command = AURA
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]
    if not rest or rest == ["--help"]:
        return
    if len(rest) == 1 and rest[0].startswith("--"):  # an option is spoken of
        assert rest[0] in {option for parameter in command.params for option in parameter.opts}
        return
    context = command.make_context("aura", ["1" if word == "N" else word for word in rest])
    assert not context.args
    profile = context.params.get("profile")
    sets = context.params.get("set_") or ()
    if profile in {path.stem for path in (ROOT / "profiles").glob("*.toml")}:
        load(profile, overrides([value for value in sets if "$" not in value]))


@pytest.mark.parametrize("words", of_pages("aura"))
def test_aura_on_pages(words: tuple[str, ...]) -> None:
    """Each call on a page has a command, options and keys that there are."""
    parse(words)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(call, id=f"{' '.join(path)}: {' '.join(call)[:60]}")
        for path, command in leaves(AURA)
        for example in re.split(r"Examples?: ", command.epilog or "")[1:]
        for call in calls("```\n" + example.replace(" | ", "\n").replace(" && ", "\n") + "\n```", "aura")
    ],
)
def test_aura_in_its_own_help(words: tuple[str, ...]) -> None:
    """So does each that a command gives as its example."""
    parse(words)


@pytest.mark.parametrize("words", of_pages("make"))
def test_make(words: tuple[str, ...]) -> None:
    """Each target that a page names is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in words if "=" not in word} <= targets


@pytest.mark.parametrize("words", [*of_pages("python"), *of_pages("python3")])
def test_python(words: tuple[str, ...]) -> None:
    """Each module or script that a page runs is there."""
    if words[:1] == ("-m",):
        assert importlib.util.find_spec(words[1]) is not None
    elif words and words[0].endswith(".py"):
        assert (ROOT / words[0]).exists()
