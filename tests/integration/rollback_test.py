"""A run directory that is put back from an older copy: whoever saw more says so, and the owner decides."""

import re
import shutil
import signal
import sqlite3
import sys
import unittest

from harness import Flowloom, small_run


class RollbackTest(Flowloom):
    def setUp(self):
        super().setUp()
        self.run_file = self.write(small_run(lease=3).replace("steps = 200", "steps = 20000"))
        self.log = self.tmp / "worker.log"

    def stop(self, child):
        child.send_signal(signal.SIGTERM)
        self.leaves(child)

    def records_told(self):
        return max(map(int, re.findall(r"the log has (\d+) records", self.log.read_text())), default=0)

    def records(self):
        store = sqlite3.connect(self.run_dir / "chain.sqlite")
        (count,) = store.execute("SELECT count(*) FROM records").fetchone()
        events = [kind for (kind,) in store.execute("SELECT kind FROM events")]
        store.close()
        return count, events

    def test_a_worker_that_lived_on_has_seen_more(self):
        self.complete(self.run_file, "--workers", 1)
        undisturbed = self.digest()
        shutil.rmtree(self.run_dir)

        self.stop(self.coordinator(self.run_file))
        backup = self.tmp / "backup"
        shutil.copytree(self.run_dir, backup)

        coordinator = self.coordinator()
        server = self.server("--log-level", "warn")
        with open(self.log, "w") as log:
            worker = self.start("flowloom-worker", "--dir", self.run_dir, "--name", "witness", "--log-level", "debug", stderr=log)
        self.until(lambda: self.proposals() >= 64, "the chain has begun")
        self.stop(server)  # long before the second version, for which the chain waits at proposal 3000
        self.until(lambda: self.records_told() > 1, "the worker was told of more than the switch")
        self.stop(coordinator)
        shutil.rmtree(self.run_dir)
        shutil.copytree(backup, self.run_dir)

        coordinator = self.coordinator()
        self.until(lambda: self.status()["state"] == "halted", "the chain has halted")
        sentence = self.status()["sentence"]
        for word in ("'witness' was told of record", "the store ends at record 0", "--accept-rollback"):
            self.assertIn(word, sentence)
        self.stop(coordinator)
        self.assertEqual(self.records(), (0, []))

        coordinator = self.coordinator(None, "--accept-rollback")
        self.server("--log-level", "warn")
        self.leaves(coordinator)
        self.leaves(worker)
        self.assertEqual(self.digest(), undisturbed)
        self.flowloom("verify", self.run_dir)
        self.assertEqual(self.records()[1], ["rollback"])

    def test_a_directory_that_was_lost_whole(self):
        self.complete(self.run_file, "--workers", 1)
        undisturbed = self.digest()
        shutil.rmtree(self.run_dir)
        coordinator = self.coordinator(self.run_file)
        server = self.server("--log-level", "warn")
        with open(self.log, "w") as log:
            worker = self.start("flowloom-worker", "--dir", self.run_dir, "--name", "witness", "--log-level", "debug", stderr=log)
        self.until(lambda: self.proposals() >= 64, "the chain has begun")
        self.stop(server)  # the chain waits for the second version
        self.until(lambda: self.records_told() > 1, "the worker was told of the log")
        self.stop(coordinator)
        shutil.rmtree(self.run_dir)

        coordinator = self.coordinator(self.run_file)
        self.until(lambda: self.status()["state"] == "halted", "the new chain is halted before it begins")
        sentence = self.status()["sentence"]
        for word in ("'witness' was told of record", "--accept-rollback"):
            self.assertIn(word, sentence)
        self.assertEqual(self.ended(worker), 2)
        self.stop(coordinator)

        coordinator = self.coordinator(None, "--accept-rollback")
        self.server("--log-level", "warn")
        self.worker("--log-level", "warn")
        self.leaves(coordinator)
        self.assertEqual(self.digest(), undisturbed)


if __name__ == "__main__":
    sys.exit(unittest.main())
