"""Generate `hawkvision/oip/*_pb2*.py` from the `.proto`, in a throw-away environment.

The oldest supported generator is used, so that the stubs run with every newer protobuf. Each file
is put into a descriptor pool of its own: tritonclient carries the inference protocol under another
file name, grpcio-health-checking the health protocol, and all must be importable in one process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

GENERATOR = "grpcio-tools==1.73.1"
"""Its stubs ask for this grpcio and for protobuf 6.31: the lower bounds of pyproject.toml."""

_POOL = "_descriptor_pool.Default()"


def main() -> None:
    """Write the stubs beside the `.proto`."""
    root = Path(__file__).resolve().parent.parent
    package = root / "hawkvision" / "oip"
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", GENERATOR, "setuptools<80"], check=True
        )
        subprocess.run(
            [
                python,
                "-m",
                "grpc_tools.protoc",
                f"-I{root}",
                f"--python_out={root}",
                f"--pyi_out={root}",
                f"--grpc_python_out={root}",
                *(str(path) for path in package.glob("*.proto")),
            ],
            check=True,
        )
    for stub in package.glob("*_pb2.py"):
        source = stub.read_text("utf-8")
        if source.count(_POOL) != 1:
            sys.exit(f"the generator's output has changed: no single {_POOL} in {stub}")
        stub.write_text(source.replace(_POOL, "_descriptor_pool.DescriptorPool()"), "utf-8")


if __name__ == "__main__":
    main()
