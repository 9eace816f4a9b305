"""Wall clocks that jump by hours, forwards and backwards, while programs run (Debian's faketime reads the jump from a file
again and again). Leases and deadlines count on the clock that does not jump, and the digest is the undisturbed run's.

A clock in the past makes a coordinator some ten times slower here. The likely cause is not proved: faketime does not reach
what waits in the kernel for a time of day, so that such waits of gRPC would end at once."""

import glob
import os
import sys
import time
import unittest

from campaign import SCALE, Campaign, main

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


@unittest.skipUnless(LIBRARY, "this needs Debian's faketime")
class ClockTest(Campaign):
    def setUp(self):
        super().setUp()
        self.run_file = self.run_from_files(length=40_000, lease=2)
        self.undisturbed(self.run_file)

    def clock(self, name):
        """A clock of its own for a process: its environment, and the file that sets it."""
        file = self.write("+0", f"clock-{name}")
        environment = {**os.environ, "LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
                       "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return environment, file

    def jump(self, name, file):
        hours = self.random.choice([-1, 1]) * self.random.uniform(0.5, 48)
        self.fault(f"the clock of {name} jumps to {hours:+.2f} h")
        file.write_text(f"{3600 * hours:+.0f}")

    def jumping(self, whose):
        """Everybody runs; the clocks of these jump until the chain ends."""
        clocks, environments = {}, {}
        for name in ("coordinator", "one", "two"):
            environments[name], clocks[name] = self.clock(name) if name in whose else (None, None)
        began = time.monotonic()
        process = self.coordinator(self.run_file, env=environments["coordinator"])
        workers = [self.start("flowloom-worker", "--dir", self.run_dir, "--name", name, env=environments[name])
                   for name in ("one", "two")]
        jumps = 0
        while process.poll() is None:
            self.assertLess(time.monotonic() - began, 60 * SCALE, "the chain ends")
            name = self.random.choice(whose)
            self.jump(name, clocks[name])
            jumps += 1
            time.sleep(self.random.uniform(0.02, 0.2))
        self.assertGreater(jumps, 2)
        self.assertEqual(process.returncode, 0)
        for worker in workers:
            self.leaves(worker)
        self.assert_same_chain(self.run_file)
        print(f"{jumps} jumps", file=sys.stderr)

    def test_the_coordinators_clock_jumps(self):
        self.jumping(["coordinator"])

    def test_the_workers_clocks_jump(self):
        self.jumping(["one", "two"])

    def test_a_restart_in_the_past(self):
        """What was written down with times of the future counts by its order."""
        environment, file = self.clock("coordinator")
        file.write_text("+172800")
        process = self.coordinator(self.run_file, env=environment)
        worker = self.worker()
        self.until(lambda: self.proposals() >= 1000, "1000 proposals")
        self.kill(process)
        self.fault("the coordinator starts again four days before")
        file.write_text("-172800")
        process = self.coordinator(env=environment)
        self.leaves(process)
        self.leaves(worker)
        self.assert_same_chain(self.run_file)


if __name__ == "__main__":
    main()
