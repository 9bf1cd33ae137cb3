"""Generate `hawkvision/oip/*_pb2*.py` from the `.proto`, in a throw-away environment.

The oldest supported generator is used, so that the stubs run with every newer protobuf. They are
put into a descriptor pool of their own: tritonclient carries the same protocol under another file
name, and both must be importable in one process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

GENERATOR = "grpcio-tools==1.73.*"


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
                str(package / "open_inference.proto"),
            ],
            check=True,
        )
    stub = package / "open_inference_pb2.py"
    source = stub.read_text("utf-8")
    default = "_descriptor_pool.Default()"
    if source.count(default) != 1:
        sys.exit("the generator's output has changed: no single default descriptor pool")
    stub.write_text(source.replace(default, "_descriptor_pool.DescriptorPool()"), "utf-8")


if __name__ == "__main__":
    main()
