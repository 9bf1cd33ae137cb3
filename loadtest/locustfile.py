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
from pathlib import Path
from typing import Any

import gevent
import requests
from locust import FastHttpUser, between, events, task

from hawkvision.calibration import shown
from hawkvision.contract.answer import Answer
from hawkvision.contract.task import parse_tasks
from hawkvision.errors import UnexpectedReply
from loadtest.accuracy import DeliveredAccuracy, spread
from loadtest.traffic import TrafficSettings, cycle, load_traffic

_JSON = os.environ.get("HAWKVISION_LOADTEST_JSON")
_TARGETS = os.environ.get("HAWKVISION_LOADTEST_TARGETS")
_TASK = os.environ.get("HAWKVISION_LOADTEST_TASK")
_REQUESTS = int(os.environ.get("HAWKVISION_LOADTEST_REQUESTS", 0))

delivered = DeliveredAccuracy()
_users = itertools.count()


class Plan:
    """What all users share: the task, its targets and the images."""

    def __init__(self, host: str) -> None:
        reply = requests.get(f"{host}/v1/tasks", timeout=30)
        reply.raise_for_status()
        tasks = parse_tasks(reply.json())
        chosen = next(one for one in tasks if _TASK in (None, one.name))
        self.task, self.aliases = chosen.name, chosen.aliases
        if _TARGETS:
            self.targets = [float(part) for part in _TARGETS.split(",")]
        else:
            self.targets = spread(chosen.highest_certifiable)
        self.images = load_traffic(TrafficSettings.from_environment(os.environ))


_plan: list[Plan] = []
_environments: list[Any] = []


@events.test_start.add_listener
def _prepare(environment: Any, **_: Any) -> None:
    """Draw or read the images before any user starts."""
    _environments[:] = [environment]
    host = environment.host or environment.parsed_options.host
    _plan[:] = [Plan(host.rstrip("/"))]


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
