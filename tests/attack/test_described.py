"""A short run of schemathesis over the description; minutes: `python -m tests.attack.described`."""

from __future__ import annotations

import pytest

from tests.attack.described import attack, found_program


@pytest.mark.timeout(600)
def test_what_the_description_says_holds() -> None:
    program = found_program()
    if program is None:
        pytest.skip("schemathesis is not installed: pip install -e '.[attack]'")
    assert attack(program, 0, seed=20261127, most=2) == 0
