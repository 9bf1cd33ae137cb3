"""What runs inside Ray's replicas, without Ray: settings, statuses, deadlines, lost replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from dc_gateway.upstreams.ray_ingress import Ingress, allowed_s
from dc_gateway.upstreams.ray_rungs import RungReplica
from dc_gateway.upstreams.ray_settings import RaySettings
from dc_gateway.upstreams.worker import WorkerSettings
from hawkvision.errors import HawkVisionError
from hawkvision.images import ImageLimits
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.health_pb2 import HealthCheckRequest
from hawkvision.oip.inference import parse_reply
from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.upstreams.kinds import HAS_RAY
from tests.models import LABELS, coloured_jpeg

Code = grpc.StatusCode


class Gone(Exception):
    """As Ray's RayActorError."""


class Context:
    """As Ray's context: keeps what is set."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.details = ""
        self.trailing: list[tuple[str, str]] = []
        self.metadata: list[tuple[str, str]] = []

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self.metadata

    def peer(self) -> str:
        return "ipv4:192.0.2.1:4242"

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, metadata: list[tuple[str, str]]) -> None:
        self.trailing = metadata


class Remote:
    """As a method of Ray's DeploymentHandle."""

    def __init__(self, method: Callable[..., Any], losses: int = 0) -> None:
        self.method = method
        self.losses = losses
        self.go = asyncio.Event()
        self.go.set()

    async def remote(self, *args: Any) -> Any:
        await self.go.wait()
        if self.losses:
            self.losses -= 1
            raise Gone("the actor died")
        return await asyncio.to_thread(self.method, *args)


class Handle:
    def __init__(self, replica: RungReplica, losses: int = 0) -> None:
        self.describe = Remote(replica.describe)
        self.compute = Remote(replica.compute, losses)


@pytest.fixture(scope="module")
def replica(repository: Path) -> RungReplica:
    settings = WorkerSettings(str(repository), "onnx", {"tiny": "1"}, ImageLimits())
    return RungReplica(settings.as_text(), "dc")


def ingress(repository: Path, handle: Handle, **settings: object) -> Ingress:
    text = RaySettings.parse({"repository": str(repository), **settings}).as_text()
    return Ingress(text, {("tiny", "dc"): handle}, (Gone,))


async def test_a_call_is_answered_by_the_rungs_replica(
    repository: Path, replica: RungReplica
) -> None:
    context = Context()
    request = infer_request(*(coloured_jpeg(label, seed=1, noise=5.0) for label in LABELS))
    reply = await ingress(repository, Handle(replica)).ModelInfer(request, context)
    rows = parse_reply(reply).outputs["probabilities"]
    assert [LABELS[index] for index in rows.argmax(axis=1)] == list(LABELS)
    assert context.code is None


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (infer_request(b"x"), Code.INVALID_ARGUMENT, "unsupported_image: "),
        (infer_request(b"x", model="nothing"), Code.NOT_FOUND, "unknown_task: "),
        (infer_request(bytes(21 << 20)), Code.INVALID_ARGUMENT, "payload_too_large: a message of"),
        (messages.ModelInferRequest(model_name="tiny"), Code.INVALID_ARGUMENT, "invalid_request: "),
    ],
    ids=["image", "model", "size", "tensor"],
)
async def test_a_refusal_is_a_status_and_no_exception(
    repository: Path, replica: RungReplica, request_: Any, code: Code, said: str
) -> None:
    context = Context()
    reply = await ingress(repository, Handle(replica)).ModelInfer(request_, context)
    assert (context.code, reply) == (code, messages.ModelInferResponse())
    assert context.details.startswith(said)


async def test_an_unexpected_error_tells_nothing_of_our_insides(
    repository: Path, replica: RungReplica
) -> None:
    context, handle = Context(), Handle(replica)
    handle.describe.method = lambda: 1 / 0
    await ingress(repository, handle).ServerReady(messages.ServerReadyRequest(), context)
    assert context.code is Code.INTERNAL
    assert "ZeroDivisionError" not in context.details


async def test_a_replica_that_is_lost_is_asked_again_once(
    repository: Path, replica: RungReplica
) -> None:
    request = infer_request(coloured_jpeg("red"))
    once, twice = Context(), Context()
    await ingress(repository, Handle(replica, losses=1)).ModelInfer(request, once)
    await ingress(repository, Handle(replica, losses=2)).ModelInfer(request, twice)
    assert (once.code, twice.code) == (None, Code.UNAVAILABLE)


async def test_a_deadline_in_the_request_holds(repository: Path, replica: RungReplica) -> None:
    handle, context = Handle(replica), Context()
    served = ingress(repository, handle, max_deadline_s=0.2)
    await served.ServerReady(messages.ServerReadyRequest(), Context())
    handle.compute.go.clear()
    await served.ModelInfer(infer_request(coloured_jpeg("red")), context)
    handle.compute.go.set()
    assert context.code is Code.DEADLINE_EXCEEDED


def test_the_timeout_parameter_is_in_microseconds() -> None:
    request = messages.ModelInferRequest()
    assert allowed_s(request) is None
    request.parameters["timeout"].int64_param = 250_000
    assert allowed_s(request) == pytest.approx(0.25)
    request.parameters["timeout"].string_param = "soon"
    assert allowed_s(request) is None


async def test_health_knows_the_server_its_service_and_its_tasks(
    repository: Path, replica: RungReplica
) -> None:
    served = ingress(repository, Handle(replica))
    codes = []
    for name in ("", "inference.GRPCInferenceService", "tiny", "nothing"):
        context = Context()
        await served.Check(HealthCheckRequest(service=name), context)
        codes.append(context.code)
    assert codes == [None, None, None, Code.NOT_FOUND]


async def test_a_stream_answers_one_request_after_the_other(
    repository: Path, replica: RungReplica
) -> None:
    async def asked() -> AsyncIterator[messages.ModelInferRequest]:
        for image in (coloured_jpeg("red"), b"x", coloured_jpeg("blue")):
            yield infer_request(image)

    context = Context()
    served = ingress(repository, Handle(replica))
    found = [one async for one in served.ModelStreamInfer(asked(), context)]
    assert [one.error_message.partition(":")[0] for one in found] == ["", "unsupported_image", ""]
    assert [one.infer_response.id for one in found] == ["r1"] * 3 and context.code is None
    rows = [parse_reply(one.infer_response).outputs["probabilities"] for one in found[::2]]
    assert [LABELS[int(row.argmax())] for row in rows] == ["red", "blue"]


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("ModelConfig", messages.ModelConfigRequest(name="tiny"), None),
        ("ModelConfig", messages.ModelConfigRequest(name="nothing"), Code.NOT_FOUND),
        ("ModelStatistics", messages.ModelStatisticsRequest(name="tiny"), None),
        ("ModelStatistics", messages.ModelStatisticsRequest(name="nothing"), Code.NOT_FOUND),
        ("RepositoryIndex", messages.RepositoryIndexRequest(), None),
        (
            "RepositoryModelLoad",
            messages.RepositoryModelLoadRequest(model_name="tiny"),
            Code.UNIMPLEMENTED,
        ),
        (
            "RepositoryModelUnload",
            messages.RepositoryModelUnloadRequest(model_name="tiny"),
            Code.UNIMPLEMENTED,
        ),
    ],
)
async def test_the_extensions_are_answered_too(
    repository: Path, replica: RungReplica, method: str, request_: Any, code: Code | None
) -> None:
    context = Context()
    reply = await getattr(ingress(repository, Handle(replica)), method)(request_, context)
    assert context.code == code
    assert type(reply).__name__ == f"{method}Response"
    assert bool(reply.ByteSize()) is (code is None)


def test_every_method_of_the_protocol_is_there() -> None:
    service = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert [one.name for one in service.methods if not hasattr(Ingress, one.name)] == []


def test_settings_come_as_text_or_numbers() -> None:
    found = RaySettings.parse({"tasks": "a, b", "max_replicas": "3", "gpus": "0.5"})
    assert (found.max_replicas, found.gpus, found.config().tasks) == (3, 0.5, ("a", "b"))
    assert RaySettings.of_text(found.as_text()) == found


@pytest.mark.parametrize(
    "args",
    [
        {"replicas": 1},
        {"max_replicas": "many"},
        {"min_replicas": 0},
        {"max_replicas": 0},
        {"health_check_s": 0},
        {"health_check_s": "nan"},
        {"max_deadline_s": "inf"},
    ],
)
def test_settings_that_cannot_be_are_refused(args: dict[str, object]) -> None:
    with pytest.raises(HawkVisionError, match="setting"):
        RaySettings.parse(args)


def test_the_configurations_that_ship_name_settings_and_functions_that_exist() -> None:
    yaml = pytest.importorskip("yaml")
    root = Path(__file__).resolve().parents[3] / "docs" / "deploy" / "ray"
    plain = yaml.safe_load((root / "config.yaml").read_text("utf-8"))
    service = next(yaml.safe_load_all((root / "rayservice.yaml").read_text("utf-8")))
    for config in (plain, yaml.safe_load(service["spec"]["serveConfigV2"])):
        [application] = config["applications"]
        assert application["import_path"] == "dc_gateway.ray_app:app"
        RaySettings.parse(application["args"])
        for path in config["grpc_options"]["grpc_servicer_functions"]:
            module, _, name = path.rpartition(".")
            file = root.parents[2] / f"{module.replace('.', '/')}.py"
            assert f"def {name}(" in file.read_text("utf-8")
        if HAS_RAY:
            from ray.serve.schema import ServeDeploySchema

            ServeDeploySchema.model_validate(config)


async def test_rays_http_port_says_that_there_is_no_rest(
    repository: Path, replica: RungReplica
) -> None:
    pytest.importorskip("starlette", reason="Ray brings Starlette, and is not installed")
    reply = await ingress(repository, Handle(replica))(object())
    assert (reply.status_code, reply.body.startswith(b'{"error":"not_supported: ')) == (501, True)
