"""Locust users: one that waits for its answer, arrivals that wait for nobody, a camera."""

from __future__ import annotations

import itertools
import json
import random
import ssl
import subprocess
import sys
import time
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, User, between, task
from locust.exception import StopUser
from locust.runners import WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING

from hawkvision.client.requests import bearer
from hawkvision.contract.answer import Answer
from hawkvision.errors import UnexpectedReply
from loadtest.arrivals import arrivals
from loadtest.plan import Plan, Question
from loadtest.run import RUN, name_of
from loadtest.traffic import TrafficImage, cycle

_numbers = itertools.count()
_APART = 37
PATIENCE_S = 30.0
"""How long an answer is waited for, at the end of a run too."""
_LOOK_S = 0.5


class _Asking(FastHttpUser):
    """What users over HTTP share."""

    abstract = True
    network_timeout = PATIENCE_S

    def __init__(self, environment: Any) -> None:
        settings = RUN.settings
        if settings is not None and settings.ca is not None:
            ca = str(settings.ca)
            self.insecure = False
            self.ssl_context_factory = lambda: ssl.create_default_context(cafile=ca)
        elif settings is not None:
            self.insecure = False
            self.ssl_context_factory = ssl.create_default_context
            self.concurrency = settings.in_flight if settings.load == "open" else 1
        super().__init__(environment)

    def on_start(self) -> None:
        """Start at another image than the other users."""
        if RUN.plan is None or RUN.settings is None:
            raise StopUser
        self._plan: Plan = RUN.plan
        self._headers = bearer(RUN.settings.api_key)
        number = next(_numbers) + 1000 * _worker(self.environment)
        self._images = cycle(self._plan.images, number * _APART)
        self._rng = random.Random(RUN.settings.traffic.seed + number)

    def ask(self, question: Question, intended: float) -> None:
        """Send it and count the answer; times are from when it was meant to be sent."""
        with self.client.post(
            question.path,
            data=question.image,
            headers=self._headers,
            name=name_of("classify", question.target),
            catch_response=True,
        ) as reply:
            took_ms = (time.perf_counter() - intended) * 1e3
            reply.request_meta["response_time"] = took_ms
            if reply.status_code != 200:
                reply.failure(f"status {reply.status_code}")
                return
            try:
                answer = Answer.parse(reply.json())
            except (ValueError, UnexpectedReply) as error:
                reply.failure(str(error))
                return
            RUN.count(question, answer, took_ms)
            reply.success()


class AccuracyUser(_Asking):
    """Sends one image after another, each at a target drawn anew."""

    wait_time = between(0.0, 0.05)

    @task
    def classify(self) -> None:
        """One labelled request."""
        question = self._plan.ask(next(self._images), self._rng)
        self.ask(question, time.perf_counter())


class OpenLoopUser(_Asking):
    """All arrivals of one process: Poisson, at the shape's rate, answered or not.

    A request that finds `--in-flight` others open is not sent, and counts as failed.
    """

    def on_start(self) -> None:
        """Nothing is open."""
        super().on_start()
        assert RUN.settings is not None and RUN.settings.shape is not None
        self._shape = RUN.settings.shape
        self._open = Pool(RUN.settings.in_flight)

    @task
    def arrive(self) -> None:
        """Until the user is stopped."""
        begun = time.perf_counter()
        for after, somebody in arrivals(self._shape, _share(self.environment), self._rng):
            if not self._wait_until(begun + after):
                return
            if not somebody:
                continue
            question = self._plan.ask(next(self._images), self._rng)
            if self._open.full():
                self._not_sent(question)
            else:
                self._open.spawn(self.ask, question, begun + after)

    def _wait_until(self, moment: float) -> bool:
        """Wait; False where the user is stopped before."""
        while (ahead := moment - time.perf_counter()) > _LOOK_S and not stopping(self):
            gevent.sleep(_LOOK_S)
        gevent.sleep(max(0.0, ahead))
        return not stopping(self)

    def on_stop(self) -> None:
        """What is open has its time to be answered."""
        self._open.join(timeout=PATIENCE_S)
        self._open.kill()

    def _not_sent(self, question: Question) -> None:
        self.environment.events.request.fire(
            request_type="POST",
            name=name_of("classify", question.target),
            response_time=0.0,
            response_length=0,
            exception=RuntimeError("not sent: too many are open (--in-flight)"),
            context={},
        )


class CameraUser(User):
    """A camera on a lossy stream of its own: one frame after another over RTP/JPEG.

    A frame without an answer by its deadline counts as failed.
    """

    def on_start(self) -> None:
        """Start at another image than the other cameras."""
        if RUN.plan is None or RUN.settings is None:
            raise StopUser
        self._plan: Plan = RUN.plan
        number = next(_numbers) + 1000 * _worker(self.environment)
        self._rng = random.Random(RUN.settings.traffic.seed + number)
        self._images = cycle(self._plan.images, number * _APART)
        self._camera: subprocess.Popen[str] | None = None

    @task
    def film(self) -> None:
        """Send frames until the user is stopped, or the stream ends."""
        assert RUN.settings is not None
        question = self._plan.ask(next(self._images), self._rng)
        asked = {
            "accuracy": question.target,
            "task": self._plan.task,
            "app": self._plan.app,
            "deadline_ms": question.deadline_ms or 100.0,
        }
        words = [str(self.host), str(RUN.settings.fps), json.dumps(asked)]
        self._camera = camera = subprocess.Popen(
            [sys.executable, "-m", "loadtest.camera", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert camera.stdin is not None and camera.stdout is not None
        while not stopping(self):
            image = next(self._images)
            try:
                camera.stdin.write(image.data.hex() + "\n")
                camera.stdin.flush()
            except OSError:
                break
            line = camera.stdout.readline()
            if not line:
                break
            self._count(question, image, json.loads(line))
        raise StopUser

    def _count(self, question: Question, image: TrafficImage, told: dict[str, Any]) -> None:
        failure = told.get("error")
        self.environment.events.request.fire(
            request_type="RTP",
            name=name_of("stream", question.target),
            response_time=told["ms"],
            response_length=len(image.data),
            exception=None if failure is None else RuntimeError(failure),
            context={},
        )
        if failure is None:
            wanted = self._plan.aliases.get(image.label, image.label)
            about = Question("", question.target, question.deadline_ms, image.data, wanted)
            RUN.count(about, Answer.parse(told["answer"]), told["ms"])

    def on_stop(self) -> None:
        """The camera goes too."""
        if self._camera is not None:
            self._camera.kill()
            self._camera.wait()


def stopping(user: User) -> bool:
    """Whether a user that is at work should end."""
    return bool(user._state == LOCUST_STATE_STOPPING)


def _worker(environment: Any) -> int:
    runner = environment.runner
    return int(runner.worker_index) if isinstance(runner, WorkerRunner) else 0


def _share(environment: Any) -> float:
    """Of all arrivals, what falls to this process."""
    if not isinstance(environment.runner, WorkerRunner):
        return 1.0
    return 1.0 / max(1, int(environment.parsed_options.expect_workers))
