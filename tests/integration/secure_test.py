"""A run with TLS and tokens of roles, each program with its own folder; and that no log has a token in it."""

import json
import os
import shutil
import sys
import unittest

from harness import Flowloom, small_run

ROLES = ("worker", "trainer", "client", "admin")


class SecureTest(Flowloom):
    def setUp(self):
        super().setUp()
        self.certs = self.tmp / "certs"
        self.flowloom("certs", self.certs, "--host", "127.0.0.5")
        self.run_file = self.write(small_run())

    def copy(self, *names, source=None):
        """A folder with these files of the certificates, as a machine gets them."""
        folder = self.tmp / "-".join(names)
        folder.mkdir(exist_ok=True)
        for name in names:
            shutil.copy2((source or self.certs) / name, folder)
        return folder

    def serve(self, *arguments):
        self.owner = self.coordinator(self.run_file, "--tls", self.certs, "--listen", "127.0.0.5:0", *arguments)
        self.address = json.loads((self.run_dir / "coordinator.json").read_text())["address"]

    def refusal(self, program, *arguments):
        """One sentence on stderr, and a failure. Returns the sentence."""
        code, _, err = self.command(program, *arguments)
        self.assertNotEqual(code, 0)
        lines = [line for line in err.strip().splitlines() if line.startswith(program)]
        self.assertEqual(len(lines), 1, err)
        self.assertNotRegex(err, r"grpc|ssl_transport|UNAVAILABLE", "gRPC's own words")
        return lines[0]

    def test_a_whole_run_where_each_program_has_the_files_of_its_role_and_no_log_has_a_token(self):
        log = ("--log-level", "trace")
        self.serve("--require-client-cert", "--stay", *log)
        mine = ("client.crt", "client.key", "ca.crt")
        worker = self.start("flowloom-worker", "--coordinator", self.address, "--tls", self.copy(*mine, "worker.token"), *log)
        self.start("flowloom-server", "--coordinator", self.address, "--tls", self.copy(*mine, "trainer.token"),
                   "--state", self.tmp / "state", *log)
        client = self.copy(*mine, "client.token")
        status = lambda: json.loads(self.flowloom("status", self.address, "--tls", client, "--json"))
        self.until(lambda: status()["state"] == "complete", "the chain is complete")
        heads = {self.flowloom("digest", self.address, "--tls", client)}
        denied = self.refusal("flowloom", "drain", self.address, "--token-file", client / "client.token", "--tls", client)
        self.assertIn("flowloom.v1.Chain/Drain", denied)
        self.refusal("flowloom", "status", self.address, "--tls", client, "--token-file", self.certs / "worker.token")
        self.flowloom("drain", self.address, "--tls", self.certs)
        for child in self.children:
            self.leaves(child)
        heads.add(self.flowloom("digest", self.run_dir))
        self.assertEqual(len(heads), 1)
        texts = {path: path.read_text() for path in (self.run_dir / "logs").iterdir()}
        texts |= {child.args[0]: child.stderr.read() for child in self.children}
        texts["denied"] = denied
        self.assertIn("joined run", texts[worker.args[0]])
        tokens = [(self.certs / f"{role}.token").read_text().strip() for role in ROLES]
        tokens.append((self.run_dir / "token").read_text().strip())
        for path, text in texts.items():
            for token in tokens:
                self.assertNotIn(token, text, path)
                self.assertNotIn("Bearer", text, path)

    def test_programs_that_see_the_run_directory_need_nothing_else(self):
        self.serve("--stay")
        self.worker()
        self.server()
        self.until(lambda: self.proposals() == 8000, "the chain is complete")
        self.flowloom("drain", self.run_dir)
        self.leaves(self.owner)

    def test_what_is_wrong_is_said_in_one_sentence_by_every_program(self):
        self.serve()
        other = self.tmp / "other"
        self.flowloom("certs", other)
        wrong = self.copy("ca.crt", *(f"{role}.token" for role in ROLES), source=other)
        programs = [("flowloom", "status", self.address), ("flowloom-worker", "--coordinator", self.address),
                    ("flowloom-server", "--state", self.tmp / "state", "--coordinator", self.address)]
        for program in programs:
            with self.subTest(program=program[0]):
                self.assertIn("did not sign", self.refusal(*program, "--tls", wrong))
                self.assertIn("speaks TLS", self.refusal(*program, "--insecure", "--token-file", self.run_dir / "token"))

    def test_a_worker_waits_for_a_coordinator_that_is_not_there_yet(self):
        self.serve()
        self.owner.terminate()
        self.leaves(self.owner)
        worker = self.start("flowloom-worker", "--coordinator", self.address, "--tls", self.certs)
        self.owner = self.coordinator(None, "--tls", self.certs, "--listen", self.address)
        self.until(lambda: self.status()["workers"], "the worker has joined")
        self.assertIsNone(worker.poll())

    def test_a_coordinator_says_what_its_folder_lacks(self):
        refused = lambda *arguments: self.refused("flowloom-coordinator", "--dir", self.run_dir, "--run", self.run_file, *arguments)
        self.assertIn("--host 127.0.0.6", refused("--tls", self.certs, "--listen", "127.0.0.6:0"))
        self.assertIn("needs --tls", refused("--require-client-cert"))
        self.assertIn("ca.crt", refused("--tls", self.tmp))
        self.assertFalse(self.run_dir.exists())
        os.chmod(self.certs / "client.token", 0o644)
        code, _, err = self.command("flowloom-coordinator", "--dir", self.run_dir, "--run", self.run_file, "--tls", self.certs)
        self.assertEqual(code, 1)
        self.assertIn("client.token", err)


if __name__ == "__main__":
    sys.exit(unittest.main())
