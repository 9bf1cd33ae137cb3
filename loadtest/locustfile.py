"""Locust users who ask for an accuracy: `locust -f loadtest/locustfile.py --host http://…:8080`.

Each user sends labelled images at mixed accuracy targets. A wrong label is no failure; an error or
an unreadable answer is. The accuracy delivered per target stands beside the latency, and objectives
decide the exit code. Options: docs/benchmark.md.
"""

from __future__ import annotations

import sys
from typing import Any

import gevent
from locust import LoadTestShape, events
from locust.runners import MasterRunner, WorkerRunner

from loadtest import web
from loadtest.options import add_options
from loadtest.run import RUN, table
from loadtest.shapes import Shape
from loadtest.users import PATIENCE_S, AccuracyUser, CameraUser, OpenLoopUser

_USERS = {"closed": AccuracyUser, "open": OpenLoopUser, "stream": CameraUser}
_STOP_AFTER_S = 1.0
"""Stopping while users are being started is more than Locust can do, seconds."""
_AT_ONCE = 100.0

_environments: list[Any] = []

events.init_command_line_parser.add_listener(add_options)


@events.init.add_listener
def _look(environment: Any, **_: Any) -> None:
    """Without a page, end at once where no run is possible; with one, add a tab to it."""
    if isinstance(environment.runner, WorkerRunner):
        return
    if not RUN.configure(environment.parsed_options):
        sys.exit(1)
    assert RUN.settings is not None
    environment.user_classes = [_USERS[RUN.settings.load]]
    # Or Locust kills users where they are, and what they have asked is never counted.
    environment.stop_timeout = environment.stop_timeout or PATIENCE_S
    if RUN.settings.load == "open":
        environment.shape_class = _Steered(environment, None)
    elif RUN.settings.shape is not None:
        environment.shape_class = _Steered(environment, RUN.settings.shape)
    if environment.web_ui is not None:
        web.add_tab(environment.web_ui, lambda: RUN.rows(environment.stats))
    elif not RUN.make_plan(environment.host or environment.parsed_options.host):
        sys.exit(1)
    gevent.sleep(0)  # the event loop's clock stood while images were drawn, and -t counts by it


class _Steered(LoadTestShape):
    """As many users as the shape says; where an open load has its own arrivals, one a process."""

    abstract = True
    use_common_options = True

    def __init__(self, environment: Any, users: Shape | None) -> None:
        super().__init__()
        self.runner = environment.runner
        self._options = environment.parsed_options
        self._users = users
        self._begun: float | None = None

    def reset_time(self) -> None:
        """See LoadTestShape.reset_time."""
        super().reset_time()
        self._begun = None

    def tick(self) -> tuple[int, float] | None:
        """See LoadTestShape.tick. Time begins with the first user: images are drawn before."""
        if self._begun is None and self.get_current_user_count():
            self._begun = self.get_run_time()
        seconds = 0.0 if self._begun is None else self.get_run_time() - self._begun
        if self._options.run_time and seconds >= self._options.run_time:
            return None
        if self._users is None:
            return max(1, self._options.expect_workers if self._options.master else 1), _AT_ONCE
        return max(1, round(self._users.at(seconds))), _AT_ONCE


@events.test_start.add_listener
def _prepare(environment: Any, **_: Any) -> None:
    """Draw or read the images before any user starts; counts begin anew with each run."""
    RUN.delivered.clear()
    _environments[:] = [environment]
    if isinstance(environment.runner, MasterRunner):
        return
    if isinstance(environment.runner, WorkerRunner) and not RUN.configure(
        environment.parsed_options
    ):
        return
    if RUN.plan is not None and environment.web_ui is None:
        return
    host = environment.host or environment.parsed_options.host
    # In a thread: a worker that does not answer its master for some seconds is given up.
    if not gevent.get_hub().threadpool.apply(RUN.make_plan, (host,)):
        environment.process_exit_code = 1
        gevent.spawn_later(_STOP_AFTER_S, environment.runner.stop)


@events.report_to_master.add_listener
def _report_counts(client_id: str, data: dict[str, Any], **_: Any) -> None:
    data["delivered"] = RUN.delivered.take()


@events.worker_report.add_listener
def _add_counts(client_id: str, data: dict[str, Any], **_: Any) -> None:
    RUN.delivered.merge(data.get("delivered", {}))
    _enough()


@events.reset_stats.add_listener
def _reset(**_: Any) -> None:
    RUN.delivered.clear()


@events.request.add_listener
def _enough(**_: Any) -> None:
    """End after a number of requests, which takes as long as it takes.

    Once, and not in the greenlet of a user: stopping the users would kill it half-way.
    """
    most = RUN.settings.requests if RUN.settings is not None else 0
    for environment in list(_environments):
        if most and environment.stats.total.num_requests >= most:
            _environments.clear()
            if not isinstance(environment.runner, WorkerRunner):
                gevent.spawn(environment.runner.quit)


@events.quitting.add_listener
def _report(environment: Any, **_: Any) -> None:
    """The table, the file and the objectives, where all counts are."""
    settings = RUN.settings
    if settings is None or isinstance(environment.runner, WorkerRunner):
        return
    if not (RUN.plan or RUN.delivered.targets()):
        return
    print("\nDelivered accuracy\n" + table(RUN.rows(environment.stats)))
    verdicts = RUN.verdicts(environment.stats)
    if verdicts:
        print("\nObjectives\n" + "\n".join(map(str, verdicts)), flush=True)
        environment.process_exit_code = 0 if all(one.holds for one in verdicts) else 1
    if settings.results is not None:
        settings.results.write_text(RUN.as_json(environment.stats))
