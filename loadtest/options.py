"""The load test's options, beside Locust's own, each by environment too; checked at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from hawkvision.errors import InvalidRequest
from loadtest.mix import Mix, parse_mix
from loadtest.shapes import FORMS, Shape, parse_shape
from loadtest.slo import Slo, parse_slos
from loadtest.traffic import DRAWN_IMAGES, TrafficSettings

PREFIX = "HAWKVISION_LOADTEST_"
Load = Literal["closed", "open", "stream"]
_LOADS = ("closed", "open", "stream")
_ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("load", {"choices": _LOADS, "default": "closed", "help": "Users that wait for their answer, "
     "Poisson arrivals that wait for nobody, or cameras on a lossy stream."}),
    ("shape", {"default": "", "help": f"How load changes: {', '.join(FORMS)}. Users of a closed "
     "load (instead of -u and -r), requests per second of an open one."}),
    ("in-flight", {"type": int, "default": 1000, "help": "Open requests at once; one more counts "
     "as failed."}),
    ("task", {"default": "", "help": "The task; by default the agent's."}),
    ("targets", {"default": "", "help": "Accuracies and their weights, 0.80:1,0.90:3."}),
    ("deadlines", {"default": "", "help": "Deadlines in ms and their weights, 100:1,500:2."}),
    ("data", {"default": "", "help": "Folder or tar of labelled photos; else drawn road signs."}),
    ("split", {"default": "", "help": "Its split."}),
    ("images", {"type": int, "default": DRAWN_IMAGES, "help": "How many are drawn or read."}),
    ("seed", {"type": int, "default": 11, "help": "Which."}),
    ("fps", {"type": float, "default": 5.0, "help": "Frames per second of a camera."}),
    ("app", {"default": "", "help": "The app that requests are counted as."}),
    ("api-key", {"default": "", "include_in_web_ui": False, "help": "The app's key."}),
    ("ca", {"default": "", "help": "File of the authority behind the agent's certificate."}),
    ("slo", {"default": "", "help": "What decides the exit code, p99<200ms,accuracy>=target."}),
    ("requests", {"type": int, "default": 0, "help": "End after so many requests."}),
    ("results", {"default": "", "help": "JSON file for the results."}),
)  # fmt: skip


def add_options(parser: Any) -> None:
    """Add them to Locust's parser."""
    for name, about in _ARGUMENTS:
        variable = PREFIX + name.upper().replace("-", "_")
        parser.add_argument(f"--{name}", dest=_place(name), env_var=variable, **about)


def _place(name: str) -> str:
    return "hawkvision_" + name.replace("-", "_")


@dataclass(frozen=True)
class Settings:
    """A load test. `deadlines` are ms; None leaves a choice to the agent."""

    traffic: TrafficSettings = field(default_factory=TrafficSettings)
    load: Load = "closed"
    shape: Shape | None = None
    in_flight: int = 1000
    task: str | None = None
    targets: Mix[float] | None = None
    deadlines: Mix[float] | None = None
    fps: float = 5.0
    app: str | None = None
    api_key: str | None = None
    ca: Path | None = None
    slos: tuple[Slo, ...] = ()
    requests: int = 0
    results: Path | None = None

    @classmethod
    def of(cls, options: Any) -> Settings:
        """From what Locust parsed. Raises InvalidRequest."""
        given = {name: getattr(options, _place(name)) for name, _ in _ARGUMENTS}
        load = cast(Load, given["load"])
        shape = parse_shape(given["shape"]) if given["shape"] else None
        if load == "open" and shape is None:
            raise InvalidRequest(
                "an open load has no rate", hint="Give --shape, for example --shape steady:20."
            )
        if given["in-flight"] < 1 or given["images"] < 1 or not 0 < given["fps"] <= 100:
            raise InvalidRequest(
                "--in-flight, --images or --fps is out of range",
                hint="At least one; up to 100 frames per second.",
            )
        return cls(
            traffic=TrafficSettings(
                Path(given["data"]) if given["data"] else None,
                given["split"] or None,
                given["images"],
                given["seed"],
            ),
            load=load,
            shape=shape,
            in_flight=given["in-flight"],
            task=given["task"] or None,
            targets=_shares(given["targets"]),
            deadlines=_times(given["deadlines"]),
            fps=given["fps"],
            app=given["app"] or None,
            api_key=given["api-key"] or None,
            ca=Path(given["ca"]) if given["ca"] else None,
            slos=tuple(parse_slos(given["slo"])),
            requests=given["requests"],
            results=Path(given["results"]) if given["results"] else None,
        )


def _shares(text: str) -> Mix[float] | None:
    if not text:
        return None
    mix = parse_mix(text, float, "--targets")
    if not all(0 < one <= 1 for one in mix.values):
        raise InvalidRequest(f"--targets {text}: no share", hint="Accuracies are above 0, up to 1.")
    return mix


def _times(text: str) -> Mix[float] | None:
    if not text:
        return None
    mix = parse_mix(text, float, "--deadlines")
    if not all(0 < one < float("inf") for one in mix.values):
        raise InvalidRequest(f"--deadlines {text}: no time", hint="Milliseconds above 0.")
    return mix
