"""The protocol of proto/flowloom/v1 for Python: generated once per process, from the tree's own files."""

import atexit
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"

_generated = tempfile.mkdtemp(prefix="flowloom-proto-")
atexit.register(shutil.rmtree, _generated)
subprocess.run(["protoc", f"--proto_path={PROTO}", f"--python_out={_generated}", *sorted(PROTO.glob("flowloom/v1/*.proto"))],
               check=True)
sys.path.insert(0, _generated)

coordinator = importlib.import_module("flowloom.v1.coordinator_pb2")
chain = importlib.import_module("flowloom.v1.chain_pb2")
common = importlib.import_module("flowloom.v1.common_pb2")
models = importlib.import_module("flowloom.v1.models_pb2")
