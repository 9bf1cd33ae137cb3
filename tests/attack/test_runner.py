"""The runner on a real deployment: what it writes down is what happened."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.attack.__main__ import main
from tests.attack.attacks import ATTACKS
from tests.attack.deployment import deployed
from tests.attack.judge import verdicts
from tests.attack.runner import Pauses, Runner
from tests.processes import HANGS_S

QUICK = Pauses(settle_s=1.0, least_quiet_s=0.5, calm_s=0.2, nice=0)


@pytest.mark.timeout(HANGS_S)
def test_phases_are_recorded_and_a_service_that_dies_is_noticed() -> None:
    with deployed() as deployment:
        runner = Runner(deployment, QUICK)
        runner.quiet(1.0)
        for seconds in (1.0, 5.0, 20.0):  # a busy machine may let attackers wait
            phase = runner.attack("oversized", seconds)
            if phase.tally.get("400 invalid_request", 0):
                break
        assert phase.tally.get("400 invalid_request", 0) > 0
        for seconds in (1.0, 5.0, 20.0):
            if runner.attack("labels", seconds).tally.get("200", 0):
                break
        else:
            pytest.fail("no target of the attack on labels was answered")
        assert phase.served["http"].sent > 0
        assert min(phase.services["edge"].peak, phase.services["edge"].before) > 0
        assert phase.services["edge"].descriptors_peak > 0
        assert phase.quiet_p99_ms is not None
        assert phase.tracebacks == []
        deployment.gateway.child.kill()
        held = {one.criterion: one.held for one in verdicts(runner.attack("udp-noise", 1.0))}
    assert not held["dc alive"]
    assert held["edge alive"]


def test_the_list_names_every_attack() -> None:
    said = CliRunner().invoke(main, ["--list"])
    assert said.exit_code == 0
    assert all(f"{name} " in said.output for name in ATTACKS)
    assert all(len(line) <= 80 for line in said.output.splitlines())


def test_an_unknown_attack_is_refused() -> None:
    said = CliRunner().invoke(main, ["--only", "nonsense"])
    assert said.exit_code == 2
    assert "no attack 'nonsense'" in said.output
