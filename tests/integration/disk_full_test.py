"""Disk full at commit: the coordinator stops granting, says so, goes on when there is room; nothing is lost."""

import os
import resource
import shutil
import signal
import sys
import unittest

from harness import Flowloom, small_run


class DiskFullTest(Flowloom):
    def test_the_chain_stalls_and_goes_on_to_the_same_digest(self):
        run = self.write(small_run())
        self.complete(run)
        undisturbed = self.digest()
        shutil.rmtree(self.run_dir)

        def bounded():  # a file-size limit: writes fail as on a full disk, for this process alone, and it can be lifted
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

        coordinator = self.coordinator(run, preexec_fn=bounded)
        self.server()
        self.worker()
        self.until(lambda: (self.status() or {}).get("state") == "stalled", "the status says that it stalled")
        status = self.status()
        self.assertIn("cannot be written", status["sentence"])
        shown = int(status["proposals"])
        self.assertGreater(shown, 0)
        resource.prlimit(coordinator.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.leaves(coordinator)
        self.assertEqual(self.digest(), undisturbed)

    def test_a_killed_coordinator_on_a_full_disk_has_lost_nothing_that_it_showed(self):
        run = self.write(small_run())

        def bounded():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

        coordinator = self.coordinator(run, preexec_fn=bounded)
        self.server()
        self.worker()
        self.until(lambda: (self.status() or {}).get("state") == "stalled", "the status says that it stalled")
        shown = self.proposals()
        self.kill(coordinator)
        os.unlink(self.run_dir / "coordinator.json")
        self.assertGreaterEqual(self.proposals(), shown)
        self.flowloom("verify", self.run_dir)


if __name__ == "__main__":
    sys.exit(unittest.main())
