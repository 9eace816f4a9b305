"""Checkpoints that cannot serve, published to a chain that is under way: bytes that are none are refused, one whose numbers
nobody reproduces fails on every worker, and neither stops the chain."""

import hashlib
import json
import struct
import sys

from campaign import SKIPPED, Campaign, main

try:
    import grpc
except ImportError:
    print("Skipped: this needs Debian's python3-grpcio and python3-protobuf, with Debian's own python3.")
    sys.exit(SKIPPED)

import protocol

CHUNK = 1 << 20


def with_other_weights(checkpoint):
    """The same file but for its weights, whose reference draws are now others."""
    (header,) = struct.unpack_from("<Q", checkpoint)
    tensors = json.loads(checkpoint[8 : 8 + header])
    changed = bytearray(checkpoint)
    for name, tensor in tensors.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + header + offset for offset in tensor["data_offsets"])
        for at in range(begin, end, 4):
            (weight,) = struct.unpack_from("<f", changed, at)
            struct.pack_into("<f", changed, at, weight + 0.125)
    assert changed != checkpoint
    return bytes(changed)


class BadVersionTest(Campaign):
    def setUp(self):
        super().setUp()
        self.run_from_files()
        self.good, self.better = ((self.tmp / name).read_bytes() for name in ("first.safetensors", "second.safetensors"))
        text = (self.tmp / "files.toml").read_text()
        kept = [line for line in text.splitlines() if "{ from =" not in line and line.strip() not in ("versions = [", "]")]
        self.run_file = self.write("\n".join(kept).replace("length = 8000", 'length = 100000000\nplacement = "asap"'))
        self.process = self.coordinator(self.run_file)

    def publish(self, checkpoint):
        """Its version; or the status that refused it."""
        def parts():
            digest = hashlib.sha256(checkpoint).digest()
            header = protocol.models.PublishHeader(sha256=digest, size=len(checkpoint), training_step=1, ess=0.5)
            yield protocol.models.PublishRequest(header=header)
            for at in range(0, len(checkpoint), CHUNK):
                yield protocol.models.PublishRequest(chunk=checkpoint[at : at + CHUNK])
        token = (self.run_dir / "token").read_text().strip()
        with grpc.insecure_channel(self.address()) as channel:
            publish = channel.stream_unary("/flowloom.v1.Models/Publish",
                                           request_serializer=protocol.models.PublishRequest.SerializeToString,
                                           response_deserializer=protocol.models.PublishReply.FromString)
            try:
                return publish(parts(), metadata=(("authorization", f"Bearer {token}"),)).version.version
            except grpc.RpcError as error:
                return error

    def states(self):
        """Of each version on each worker."""
        return {worker["name"]: {row["version"]: row for row in worker["versions"]} for worker in self.status()["workers"]}

    def test_a_chain_goes_on_with_the_version_that_it_has_and_takes_a_good_one_later(self):
        self.assertEqual(self.publish(self.good), 1)
        for bytes_ in (b"", b"no checkpoint", self.good[:-8], self.good[:64] + b"\xff" * 64 + self.good[128:]):
            refused = self.publish(bytes_)
            self.assertIsInstance(refused, grpc.RpcError, f"{len(bytes_)} bytes")
            self.assertRegex(refused.details(), r"[.]$")
        self.assertEqual(self.publish(with_other_weights(self.good)), 2)

        workers = {name: self.worker("--name", name) for name in ("one", "two")}
        failed = lambda: {name for name, versions in self.states().items() if versions.get(2, {}).get("state") == "failed"}
        self.until(lambda: failed() == set(workers), "version 2 fails on both")
        for versions in self.states().values():
            self.assertIn("reference", versions[2]["sentence"])
        drawn = self.proposals()
        self.until(lambda: self.proposals() > drawn, "the chain goes on")
        refused = self.command("flowloom", "models", "activate", self.run_dir, "--version", 2, "--reason", "to see")
        self.assertNotEqual(refused[0], 0, "nobody has verified it")

        self.assertEqual(self.publish(self.better), 3)
        switches = lambda: self.status()["models"]["switches"]
        self.until(lambda: [row["version"] for row in switches()] == [1, 3], "the good one takes over")
        place = int(switches()[1]["from"])
        self.until(lambda: self.proposals() > place, "the chain goes on with it")
        self.kill(self.process)
        self.flowloom("verify", self.run_dir)


if __name__ == "__main__":
    main()
