"""Locust users who ask for an accuracy: `locust -f loadtest/locustfile.py --host http://…:8080`.

Each user sends labelled images at mixed accuracy targets. A wrong label is no failure; an error or
an unreadable answer is. At the end the accuracy delivered per target stands beside the latency.
Settings by environment: docs/benchmark.md.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, between, events, task
from locust.exception import StopUser

from hawkvision.calibration import shown
from hawkvision.contract.answer import Answer
from hawkvision.errors import HawkVisionError, UnexpectedReply
from loadtest import web
from loadtest.accuracy import DeliveredAccuracy
from loadtest.plan import Plan
from loadtest.traffic import cycle

_JSON = os.environ.get("HAWKVISION_LOADTEST_JSON")
_REQUESTS = int(os.environ.get("HAWKVISION_LOADTEST_REQUESTS", 0))
_STOP_AFTER_S = 1.0
"""Stopping while users are being started is more than Locust can do, seconds."""

delivered = DeliveredAccuracy()
_users = itertools.count()


_plan: list[Plan] = []
_environments: list[Any] = []


@events.init.add_listener
def _look(environment: Any, **_: Any) -> None:
    """Without a page, end at once where no run is possible; with one, add a tab to it."""
    if environment.web_ui is not None:
        web.add_tab(environment.web_ui, delivered)
    elif not _plan_for(environment):
        sys.exit(1)


@events.test_start.add_listener
def _prepare(environment: Any, **_: Any) -> None:
    """Draw or read the images before any user starts; counts begin anew with each run."""
    delivered.clear()
    _environments[:] = [environment]
    if environment.web_ui is not None and not _plan_for(environment):
        gevent.spawn_later(_STOP_AFTER_S, environment.runner.stop)


def _plan_for(environment: Any) -> bool:
    """Make the plan; whether that was possible, otherwise the reason is said in one line."""
    _plan.clear()
    options = environment.parsed_options
    try:
        _plan.append(Plan.make(environment.host or (options and options.host), os.environ))
    except (HawkVisionError, OSError, ValueError) as error:
        hint = error.hint if isinstance(error, HawkVisionError) else ""
        print(f"error: {error}. {hint}".strip(), file=sys.stderr, flush=True)
        environment.process_exit_code = 1
    return bool(_plan)


@events.request.add_listener
def _enough(**_: Any) -> None:
    """End after a number of requests, which takes as long as it takes.

    Once, and not in the greenlet of a user: stopping the users would kill it half-way.
    """
    for environment in list(_environments):
        if _REQUESTS and environment.stats.total.num_requests >= _REQUESTS:
            _environments.clear()
            gevent.spawn(environment.runner.quit)


@events.quitting.add_listener
def _report(environment: Any, **_: Any) -> None:
    if not _plan:
        return
    print("\nDelivered accuracy\n" + delivered.table())
    if _JSON:
        total = environment.stats.total
        body = {
            "results": delivered.rows(),
            "requests": total.num_requests,
            "failures": total.num_failures,
            "p50_ms": total.get_response_time_percentile(0.5),
            "p99_ms": total.get_response_time_percentile(0.99),
        }
        Path(_JSON).write_text(json.dumps(body, indent=2) + "\n")


class AccuracyUser(FastHttpUser):
    """Sends one image after another, each at a target drawn anew."""

    wait_time = between(0.0, 0.05)

    def on_start(self) -> None:
        """Start at another image than the other users."""
        if not _plan:
            raise StopUser
        plan = _plan[0]
        self._images = cycle(plan.images, next(_users) * 37)

    @task
    def classify(self) -> None:
        """One labelled request."""
        plan = _plan[0]
        image = next(self._images)
        target = random.choice(plan.targets)
        with self.client.post(
            f"/v1/classify?accuracy={target}&task={plan.task}",
            data=image.data,
            name=f"classify accuracy={shown.target(target)}",
            catch_response=True,
        ) as reply:
            if reply.status_code != 200:
                reply.failure(f"status {reply.status_code}")
                return
            try:
                answer = Answer.parse(reply.json())
            except (ValueError, UnexpectedReply) as error:
                reply.failure(str(error))
                return
            wanted = plan.aliases.get(image.label, image.label)
            delivered.add(
                target,
                correct=answer.label == wanted,
                escalated=answer.escalated,
                degraded=answer.degraded is not None,
            )
            reply.success()
