"""The attackers' process: `python -m tests.attack.attacker NAMES SECONDS NICE TARGET`.

It is niced, so that what it computes is not taken from the services. It prints `ready` when
all that is dear to make is made, begins at a line on its input, and ends with its tally as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
from collections.abc import Sequence

from tests.attack.attack import Attack, Tally, Target
from tests.attack.attacks import ATTACKS
from tests.attack.parameters import picture

_LAST_S = 3.0


async def attack(attacks: Sequence[Attack], target: Target, seconds: float) -> Tally:
    """All attacks at once for so long; an attack that ends by itself is counted as `broke off`."""
    tally = Tally()

    async def one(attack: Attack) -> None:
        try:
            await attack.run(target, tally)
        except Exception as error:
            inner: BaseException = error
            while isinstance(inner, BaseExceptionGroup):
                inner = inner.exceptions[0]
            tally.add(f"{attack.name} broke off: {inner!r:.120}")

    tasks = [asyncio.create_task(one(attack)) for attack in attacks]
    await asyncio.sleep(seconds)
    counted = Tally(tally.outcomes.copy(), list(tally.admitted_ms))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_LAST_S)
    return counted


def main(names: str, seconds: str, nice: str, target: str) -> None:
    """Prepare, wait for leave, attack, tell."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    attacks = [ATTACKS[name] for name in names.split(",")]
    for one in attacks:
        one.prepare()
    picture()  # which many send; dear to draw
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # its sockets are meant to break
    os.nice(int(nice))
    print("ready", flush=True)
    sys.stdin.readline()
    tally = asyncio.run(attack(attacks, Target.parse(json.loads(target)), float(seconds)))
    told = {"outcomes": tally.outcomes, "admitted_ms": tally.admitted_ms}
    print(json.dumps(told), flush=True)
    os._exit(0)  # what is still open is dropped, as an attacker would


if __name__ == "__main__":
    main(*sys.argv[1:])
