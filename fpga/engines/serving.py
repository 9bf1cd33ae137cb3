"""What the engines of a network in hardware have in common, simulated or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fpga.network.network import Network
from hawkvision.engines.base import Batch, EngineMetadata
from hawkvision.errors import EngineError
from hawkvision.tasks import Outputs


def metadata_of(network: Network, engine: str) -> EngineMetadata:
    """See `hawkvision.engines.base.Engine`."""
    shape = (3, network.side, network.side)
    return EngineMetadata(
        shape, "uint8", engine, "int4", platform="hawkvision_fpga", version=f"{network.digest:08x}"
    )


def outputs_of(logits: npt.NDArray[np.int32], network: Network) -> Outputs:
    """The integers that the hardware answers, [N,K], as the network's `logits`."""
    return {"logits": np.asarray(logits * network.head.scale, np.float32)}


def pictures_of(batch: Batch, network: Network, engine: str) -> npt.NDArray[np.uint8]:
    """A batch uint8 [N,3,S,S] as [N,S,S,3]. Raises EngineError for any other."""
    if batch.dtype != np.uint8 or batch.shape[1:] != (3, network.side, network.side):
        raise EngineError(
            f"{engine} takes uint8 [N,3,{network.side},{network.side}], "
            f"not {batch.dtype} {list(batch.shape)}"
        )
    return np.ascontiguousarray(batch.transpose(0, 2, 3, 1), np.uint8)
