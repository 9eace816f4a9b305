"""Who may include whom (CONTRIBUTING.md, "Rooms"). Fails with the file, the line and the rule."""

import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Folder -> the folders of ours that it may include. The four programs never include each other.
ALLOWED = {
    "math": set(),
    "stats": {"math"},
    "spec": {"math"},
    "lattice": {"math", "spec", "stats"},
    "flow": {"math", "spec", "stats", "lattice"},
    "chain": {"math", "spec", "stats", "lattice"},
    "program": {"spec"},
    "coordinator": {"math", "spec", "stats", "lattice", "flow", "chain", "program"},
    "worker": {"math", "spec", "stats", "lattice", "flow", "program"},
    "server": {"math", "spec", "stats", "lattice", "flow", "program"},
    "client": {"math", "spec", "stats", "lattice", "flow", "chain", "program"},
}
# Generated from proto/: only those who speak to others.
SPEAKS_PROTO = {"program", "coordinator", "worker", "server", "client"}
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]')
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
RPC = re.compile(r"^(grpc|grpcpp|google/protobuf|flowloom/v1)/")
STATUS = "flowloom/v1/chain.pb.h"  # plain data, which chain/ fills in


def violations(folder, path, text):
    includes = [(n, m.group(1)) for n, line in enumerate(text.splitlines(), 1) if (m := INCLUDE.match(line))]
    for number, name in includes:
        where = f"{path}:{number}: includes {name}"
        top = name.split("/")[0]
        if top in ALLOWED and top != folder and top not in ALLOWED[folder]:
            yield f"{where}, but {folder}/ may include only {sorted(ALLOWED[folder]) or 'nothing of ours'}"
        if TORCH.match(name) and not str(path).startswith("flow/torch/"):
            yield f"{where}, but only flow/torch includes LibTorch"
        if RPC.match(name) and folder not in SPEAKS_PROTO and (folder, name) != ("chain", STATUS):
            yield f"{where}, but {folder}/ does not speak gRPC"
        if name.startswith("flow/torch/") and not str(path).startswith("flow/torch/"):
            yield f"{where}, but the LibTorch engine is a module that nobody links"


class IncludesTest(unittest.TestCase):
    def test_every_folder_includes_only_what_it_may(self):
        found = []
        for folder in ALLOWED:
            files = sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".h", ".inl", ".cc", ".cu", ".cuh"))
            self.assertTrue(files, f"{folder}/ has no sources: is the list of folders out of date?")
            for file in files:
                found += violations(folder, file.relative_to(ROOT), file.read_text())
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_a_violation_of_each_rule_is_seen(self):
        for folder, path, line in [
            ("stats", "stats/x.h", '#include "spec/error.h"'),
            ("worker", "worker/x.cc", '#include "coordinator/core.h"'),
            ("server", "server/x.cc", "#include <torch/torch.h>"),
            ("flow", "flow/x.cc", "#include <grpcpp/grpcpp.h>"),
            ("chain", "chain/x.cc", '#include "flowloom/v1/chain.grpc.pb.h"'),
            ("worker", "worker/x.cc", '#include "flow/torch/network.h"'),
        ]:
            self.assertEqual(len(list(violations(folder, pathlib.PurePath(path), line))), 1, line)


if __name__ == "__main__":
    sys.exit(unittest.main())
