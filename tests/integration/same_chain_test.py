"""ExactnessOneIdea: the chain is a pure function of the run file. Whatever happens to the processes, the digest is the
one of an undisturbed run."""

import os
import shutil
import signal
import subprocess
import sys
import unittest

from harness import Flowloom, small_run


class SameChainTest(Flowloom):
    undisturbed = None  # the digest, computed once

    def setUp(self):
        super().setUp()
        self.run_file = self.write(small_run(lease=3))
        if SameChainTest.undisturbed is None:
            self.complete(self.run_file, "--workers", 2)
            SameChainTest.undisturbed = self.digest()
            shutil.rmtree(self.run_dir)

    def assert_same_chain(self):
        self.assertEqual(self.digest(), self.undisturbed)
        self.flowloom("verify", self.run_dir)

    def test_one_worker(self):
        self.complete(self.run_file, "--workers", 1)
        self.assert_same_chain()

    def test_five_workers(self):
        self.complete(self.run_file, "--workers", 5)
        self.assert_same_chain()

    def test_another_number_of_training_threads(self):
        coordinator = self.coordinator(self.run_file)
        self.server("--threads", 1)
        self.worker()
        self.assertEqual(self.ended(coordinator), 0)
        self.assert_same_chain()

    def test_workers_killed_on_the_way(self):
        coordinator = self.coordinator(self.run_file)
        self.server()
        for at in (64, 1000, 4000):
            doomed = self.worker()
            self.until(lambda: self.proposals() >= at, f"{at} proposals")
            self.kill(doomed)
        self.worker()
        self.assertEqual(self.ended(coordinator), 0)
        self.assert_same_chain()

    def test_workers_joining_late(self):
        coordinator = self.coordinator(self.run_file)
        self.server()
        self.worker()
        self.until(lambda: self.proposals() >= 1000, "1000 proposals")
        self.worker()
        self.worker()
        self.assertEqual(self.ended(coordinator), 0)
        self.assert_same_chain()

    def test_a_coordinator_killed_and_restarted(self):
        coordinator = self.coordinator(self.run_file)
        self.server()
        self.worker()
        for at in (200, 1500, 3000):
            self.until(lambda: self.proposals() >= at, f"{at} proposals")
            self.kill(coordinator)
            coordinator = self.coordinator()
        self.assertEqual(self.ended(coordinator), 0)
        self.assert_same_chain()

    def test_a_server_killed_and_restarted(self):
        coordinator = self.coordinator(self.run_file)
        for seconds in (0.4, 0.8, 1.2):
            server = self.server()
            try:
                server.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill(server)
        self.server()
        self.worker()
        self.assertEqual(self.ended(coordinator), 0)
        self.assert_same_chain()

    def test_everything_killed_under_up(self):
        """`up` starts again what dies."""
        up = self.start("flowloom", "up", self.run_file, "--dir", self.run_dir, "--quiet")
        for at, name in ((300, "flowloom-worker"), (2500, "flowloom-coordinator"), (4500, "flowloom-worker")):
            self.until(lambda: self.proposals() >= at, f"{at} proposals")
            self.kill_child_of(up, name)
        self.assertEqual(self.ended(up), 0)
        self.assert_same_chain()

    def kill_child_of(self, parent, name):
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat") as file:
                    ppid = int(file.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    program = file.read().split(b"\0")[0].decode()
            except OSError:
                continue
            if ppid == parent.pid and program.endswith(name):
                os.kill(int(entry), signal.SIGKILL)
                return
        self.fail(f"{name} is not a child of up")


if __name__ == "__main__":
    sys.exit(unittest.main())
