"""The image, as far as it goes without a Docker engine: its file is linted, and its build is run by hand in a bare folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "infra/docker/Dockerfile"


def instructions(stage: str) -> list[tuple[str, str]]:
    """The instructions of a stage, each as its word and the rest, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {}
    current = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            current = rest.split()[-1]
        found.setdefault(current, []).append((word, rest))
    return found[stage]


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The folder that the build stage leaves, from its own instructions."""
    with tempfile.TemporaryDirectory(prefix="aura-image-") as folder:
        home = Path(folder) / "opt/aura"
        home.mkdir(parents=True)
        for parent in (Path(folder), home.parent, home):
            parent.chmod(0o755)
        for word, rest in instructions("build"):
            if word == "COPY":
                _copy(rest, home)
            elif word == "RUN":
                command = rest.replace("python3.12 -m venv", f"{sys.executable} -m venv")
                subprocess.run(["bash", "-euc", command], cwd=home, check=True, capture_output=True)
        subprocess.run(["chmod", "-R", "a-w", home], check=True)
        yield home
        subprocess.run(["chmod", "-R", "u+w", home], check=True)


def _copy(rest: str, home: Path) -> None:
    *named, target = rest.split()
    sources = [str(p.relative_to(ROOT)) for name in named for p in ROOT.glob(name)]
    assert sources
    for source in sources:
        to = home / target if len(sources) == 1 and target != "./" else home / source
        to.parent.mkdir(parents=True, exist_ok=True)
        ignore = shutil.ignore_patterns("__pycache__", "node_modules")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, to, ignore=ignore)
        else:
            shutil.copy(ROOT / source, to)


def inside(image: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with the image's variables and nothing else, and without a capability: root may write nothing then."""
    env = {"PATH": f"{image}/.venv/bin:/usr/bin:/bin", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    without = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    return subprocess.run([*without, *command], cwd=cwd, env=env, capture_output=True, text=True, check=False)


@contextmanager
def running(image: Path, state: Path, *command: str) -> Iterator[str]:
    """Run a command of the image that serves; yield the address that it prints."""
    env = {"PATH": f"{image}/.venv/bin:/usr/bin:/bin", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [str(image / ".venv/bin/aura"), *command]
    with subprocess.Popen(argv, cwd=state, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(word for line in process.stdout for word in line.split() if word.startswith("http"))
        finally:
            process.terminate()


def test_the_file_passes_its_linter() -> None:
    """Hadolint has nothing to say."""
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_image_runs_without_root_and_holds_no_compiler() -> None:
    """Its user has a number, which Kubernetes can check, and no step installs a compiler."""
    final = instructions("final")
    assert ("USER", "10001:10001") in final
    assert any(word == "HEALTHCHECK" for word, _ in final)
    text = DOCKERFILE.read_text()
    assert "--only-binary :all:" in text
    assert "gcc" not in text
    assert "build-essential" not in text


def test_what_is_ignored_is_not_what_is_copied() -> None:
    """The context has exactly what the build copies."""
    allowed = {
        line[1:]
        for line in DOCKERFILE.with_suffix(".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = {
        source for word, rest in instructions("build") if word == "COPY" for source in rest.split()[:-1]
    }
    assert allowed == copied


@pytest.mark.timeout(600)
def test_its_steps_give_a_program_that_runs_from_a_folder_that_it_cannot_change(image: Path) -> None:
    """The build's own steps in a bare folder, read-only then; the main job writes where it was started."""
    with tempfile.TemporaryDirectory(prefix="aura-state-") as folder:
        state = Path(folder)
        assert inside(image, "touch", str(image / "new"), cwd=state).returncode != 0
        shown = inside(image, "aura", "--help", cwd=state)
        assert shown.returncode == 0, shown.stderr
        assert "run" in shown.stdout
        with running(image, state, "dashboard", "--port=0") as address:
            assert "<html" in httpx.get(address).text, "the built page"
        ran = inside(image, "aura", "run", "--profile", "flights", "--json", cwd=state)
        assert ran.returncode == 0, ran.stderr
        assert '"digest"' in ran.stdout
        assert (state / "out/cells.parquet").exists()
