"""Runs the tests of every protection with it switched off, in one process; prints the exit code of each as JSON.

python -m chaos.notice [NAME...], with AURA_TEST_BOOTSTRAP naming a broker
"""

import contextlib
import io
import json
import sys

import hypothesis
import pytest
from chaos.protections import PROTECTIONS, Set, switch_off


def main(names: list[str]) -> None:
    """Run them all; "" stands for all of their tests with nothing switched off."""
    only = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # a failure need not be made small
    hypothesis.settings.register_profile("notice", phases=only, database=None, deadline=None)
    hypothesis.settings.load_profile("notice")
    tests = sorted({test for protection in PROTECTIONS.values() for test in protection.tests})
    codes = {"": _run("", tests)} if not names else {}
    codes |= {name: _run(name, list(PROTECTIONS[name].tests)) for name in names or PROTECTIONS}
    print(json.dumps(codes))


def _run(name: str, tests: list[str]) -> int:
    """Return pytest's exit code: 1, if tests ran and one failed."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        if name:
            switch_off(name, _undone(patch))
        code = int(
            pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--assert=plain", "--no-header", *tests])
        )
    print(f"--- {name or 'none'} off: {code}\n{said.getvalue()}", file=sys.stderr)
    return code


def _undone(patch: pytest.MonkeyPatch) -> Set:
    def put(owner: object, name: str, value: object) -> None:
        patch.setattr(owner, name, value, raising=False)  # a module may have no `min` of its own

    return put


if __name__ == "__main__":
    main(sys.argv[1:])
