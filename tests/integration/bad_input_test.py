"""What bad input gets: one sentence with the place and the remedy, exit code 2, nothing touched."""

import json
import os
import socket
import sqlite3
import sys
import unittest

from harness import Flowloom, small_run


class BadInputTest(Flowloom):
    def refused_run(self, before, after):
        """`up` on the small run with one thing changed; the directory must not appear."""
        text = small_run()
        self.assertIn(before, text)
        sentence = self.refused("flowloom", "up", self.write(text.replace(before, after)), "--dir", self.run_dir)
        self.assertFalse(self.run_dir.exists())
        return sentence

    def test_a_typo_in_a_key_names_the_line_and_the_key_that_was_meant(self):
        sentence = self.refused_run("hidden = [4]", "hiden = [4]")
        self.assertRegex(sentence, r"run.toml:17: .*'hiden'.*did you mean 'hidden'")

    def test_a_wrong_type(self):
        self.assertRegex(self.refused_run("lambda = 8.0", 'lambda = "eight"'), r"run.toml:12: \[theory\] lambda.*a number")

    def test_a_value_out_of_range(self):
        self.assertRegex(self.refused_run("learning_rate = 1e-2", "learning_rate = -1"), r"learning_rate = -1.0 is out of range")

    def test_an_odd_lattice_for_a_checkerboard(self):
        self.assertRegex(self.refused_run("lattice = [4, 4]", "lattice = [5, 4]"), r"lattice = \[5,4\].*even")

    def test_a_section_that_is_not_known(self):
        self.assertIn("did you mean [theory]", self.refused_run("[theory]", "[teory]"))

    def test_a_text_that_is_no_toml(self):
        self.assertRegex(self.refused_run("seed = 7", "seed = = 7"), r"run.toml:4:\d+: not valid TOML")

    def test_an_override_is_named_as_the_place(self):
        run = self.write(small_run())
        self.assertIn("--set flow.layers=0", self.refused("flowloom", "check", run, "--set", "flow.layers=0"))

    def test_a_run_file_that_is_not_there(self):
        self.assertIn("nowhere.toml", self.refused("flowloom", "up", self.tmp / "nowhere.toml", "--dir", self.run_dir))

    def test_a_directory_that_is_no_run(self):
        self.assertIn("neither a run directory nor an address", self.refused("flowloom", "status", self.tmp))

    def test_an_address_that_is_not_on_loopback(self):
        run = self.write(small_run())
        for address in ("0.0.0.0:0", "192.0.2.1:4000"):
            self.assertIn("--insecure", self.refused("flowloom-coordinator", "--dir", self.run_dir, "--run", run, "--listen", address))
        self.assertFalse(self.run_dir.exists())
        token = self.write("secret\n", "token")
        os.chmod(token, 0o600)
        self.assertIn("--insecure", self.refused("flowloom-worker", "--coordinator", "192.0.2.1:4000", "--token-file", token))

    def test_a_port_in_use(self):
        run = self.write(small_run())
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            sentence = self.refused("flowloom-coordinator", "--dir", self.run_dir, "--run", run, "--listen", address)
        self.assertRegex(sentence, r"port is in use")
        self.assertFalse(self.run_dir.exists())


class CheckpointTest(Flowloom):
    def run_with(self, bytes_):
        (self.tmp / "model.safetensors").write_bytes(bytes_)
        text = small_run().replace('when = { step = 60 }', 'when = { file = "model.safetensors" }')
        sentence = self.refused("flowloom-coordinator", "--dir", self.run_dir, "--run", self.write(text))
        self.assertFalse(self.run_dir.exists())
        self.assertIn("model.safetensors", sentence)

    def test_an_empty_truncated_or_foreign_checkpoint(self):
        header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        for bytes_ in (b"", b"\x00" * 7, b"not a checkpoint at all", b"\xff" * 64, len(header).to_bytes(8, "little") + header,
                       len(header).to_bytes(8, "little") + header + b"\x00" * 4):
            with self.subTest(bytes_=bytes_[:20]):
                self.run_with(bytes_)

    def test_a_checkpoint_that_is_not_there(self):
        text = small_run().replace('when = { step = 60 }', 'when = { file = "missing.safetensors" }')
        self.assertIn("missing.safetensors", self.refused("flowloom-coordinator", "--dir", self.run_dir, "--run", self.write(text)))
        self.assertFalse(self.run_dir.exists())


class RunningTest(Flowloom):
    """Refusals that need a coordinator at work."""

    def setUp(self):
        super().setUp()
        self.run_file = self.write(small_run())
        self.owner = self.coordinator(self.run_file)

    def test_a_directory_owned_by_a_running_coordinator(self):
        sentence = self.refused("flowloom-coordinator", "--dir", self.run_dir, "--run", self.run_file)
        self.assertIn("a coordinator is running", sentence)
        self.assertIsNone(self.owner.poll())

    def test_a_worker_that_expects_another_run(self):
        sentence = self.refused("flowloom-worker", "--dir", self.run_dir, "--expect", "0" * 64)
        self.assertIn("identity", sentence)

    def test_a_stranger_with_another_token(self):
        address = self.address()
        token = self.write("0" * 64 + "\n", "token")
        os.chmod(token, 0o600)
        code, _, err = self.command("flowloom", "status", address, "--token-file", token)
        self.assertNotEqual(code, 0)
        self.assertIn("token", err)

    def test_garbage_on_the_port_does_no_harm(self):
        host, port = self.address().split(":")
        for payload in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(512)):
            with socket.create_connection((host, int(port)), timeout=5) as stranger:
                stranger.sendall(payload)
        self.assertIsNotNone(self.status())
        self.assertIsNone(self.owner.poll())

    def address(self):
        return json.loads((self.run_dir / "coordinator.json").read_text())["address"]


class SecondRunFileTest(Flowloom):
    """A run file that differs from the directory's."""

    def setUp(self):
        super().setUp()
        self.owner = self.coordinator(self.write(small_run()))
        self.owner.terminate()
        self.leaves(self.owner)

    def test_another_identity_is_refused_with_what_differs(self):
        other = self.write(small_run().replace("lambda = 8.0", "lambda = 7.0"), "other.toml")
        before = self.files()
        sentence = self.refused("flowloom", "up", other, "--dir", self.run_dir)
        self.assertRegex(sentence, r"theory.lambda is 8.0 in the directory and 7.0 in the run file.*--dir")
        self.assertEqual(self.files(), before)

    def files(self):
        """Every file of the run but the logs, with its bytes."""
        return {p: p.read_bytes() for p in self.run_dir.rglob("*") if p.is_file() and p.parent.name != "logs"}

    def test_a_changed_policy_is_taken_over_and_logged(self):
        longer = self.write(small_run(length=9000), "longer.toml")
        owner = self.coordinator(longer)
        self.assertEqual(int(self.status()["length"]), 9024)  # 141 units of 64
        owner.terminate()
        self.leaves(owner)
        with sqlite3.connect(self.run_dir / "chain.sqlite") as store:
            texts = [row[0] for row in store.execute("SELECT text FROM events WHERE kind = 'policy'")]
        self.assertIn("chain.length: 8000 -> 9000", texts)


if __name__ == "__main__":
    sys.exit(unittest.main())
