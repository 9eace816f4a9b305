"""Programs end in order when a scheduler says so, and those that stay find their coordinator again."""

import json
import re
import signal
import subprocess
import sys
import unittest

from harness import Flowloom, small_run


class SignalsTest(Flowloom):
    def setUp(self):
        super().setUp()
        self.coordinator(self.write(small_run()), "--stay")

    def joined(self, name, **options):
        child = self.start("flowloom-worker", "--dir", self.run_dir, "--name", name, **options)
        self.until(lambda: name in [worker["name"] for worker in self.status()["workers"]], f"{name} has joined")
        return child

    def test_every_early_notice_drains_a_worker(self):
        for notice in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM):
            worker = self.joined(notice.name)
            worker.send_signal(notice)
            self.leaves(worker)
            self.assertIn("left, as asked", worker.stderr.read())

    def test_what_follows_an_early_notice_does_not_kill(self):
        """Slurm's own SIGTERM, which srun passes on once more."""
        worker = self.joined("w")
        for notice in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            worker.send_signal(notice)
        self.leaves(worker)

    def test_an_ignored_hangup_stays_ignored(self):
        worker = self.joined("nohup", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        worker.send_signal(signal.SIGHUP)
        with self.assertRaises(subprocess.TimeoutExpired):
            worker.wait(0.5)
        worker.send_signal(signal.SIGUSR1)
        self.leaves(worker)

    def test_a_server_saves_and_goes_on_later(self):
        server = self.server()
        self.until(lambda: self.status()["training"], "it trains")
        server.send_signal(signal.SIGUSR1)
        self.leaves(server)
        self.assertTrue((self.run_dir / "train/state.safetensors").exists())


class RestartTest(Flowloom):
    def test_a_coordinator_that_goes_down_and_comes_back(self):
        """Everybody says once that it is lost, and once that it is back; nobody is started again."""
        run = self.write(small_run(lease=3).replace("steps = 200", "steps = 20000"))
        logs = {name: self.tmp / f"{name}.log" for name in ("worker", "server", "watch", "follow")}
        coordinator = self.coordinator(run)
        self.server("--log-file", logs["server"])
        self.worker("--log-file", logs["worker"])
        self.until(lambda: self.proposals() >= 64, "the chain has begun")
        samples = self.tmp / "samples.csv"
        watch = self.client(logs["watch"], logs["watch"], "status", self.run_dir, "--watch")
        follow = self.client(samples, logs["follow"], "samples", self.run_dir, "--follow")
        self.until(lambda: "chain:" in logs["watch"].read_text() and samples.stat().st_size > 0, "the clients follow")
        coordinator.send_signal(signal.SIGUSR1)
        self.leaves(coordinator)
        for name, log in logs.items():
            self.until(lambda: "is lost" in log.read_text(), f"{name} says that it is lost")
        coordinator = self.coordinator()
        for child in (coordinator, watch, follow):
            self.leaves(child)
        for name, log in logs.items():
            said = re.findall(r"Connection to .* is (lost|back)", log.read_text())
            self.assertEqual(said, ["lost", "back"], f"{name}: {log.read_text()}")
            self.assertIn("going down", log.read_text(), name)
        self.assertEqual(samples.read_text(), self.flowloom("samples", self.run_dir))
        self.flowloom("verify", self.run_dir)

    def test_a_client_waits_as_long_as_it_was_told(self):
        coordinator = self.coordinator(self.write(small_run()))
        log = self.tmp / "watch.log"
        watch = self.client(log, log, "status", self.run_dir, "--watch", "--wait", 0)
        self.until(lambda: "chain:" in log.read_text(), "it follows")
        self.kill(coordinator)
        self.assertEqual(self.ended(watch), 1)
        self.assertIn("does not answer", log.read_text())

    def test_a_recomputation_at_an_address_goes_on_with_the_next_coordinator(self):
        self.complete(self.write(small_run()))
        coordinator = self.coordinator(None, "--stay")
        address = json.loads((self.run_dir / "coordinator.json").read_text())["address"]
        log = self.tmp / "verify.log"
        verify = self.client(log, log, "verify", address, "--token-file", self.run_dir / "token", "--recompute", "100%")
        asked = lambda: (self.status() or {}).get("recheck")
        self.until(asked, "it is asked for, and nobody draws")
        self.kill(coordinator)
        self.until(lambda: "is lost" in log.read_text(), "it says that the coordinator is lost")
        self.coordinator(None, "--stay", "--listen", address)
        self.until(asked, "it is asked for again")
        self.worker()
        self.leaves(verify)
        self.assertRegex(log.read_text(), r"is back.\nrecomputed 125 units, 100 % of all by --seed [1-9]\d*: workers find")



class DrainTest(Flowloom):
    def test_everybody_leaves_and_the_chain_can_go_on_later(self):
        coordinator = self.coordinator(self.write(small_run(lease=3).replace("steps = 200", "steps = 2000000")))
        server = self.server()
        worker = self.start("flowloom-worker", "--dir", self.run_dir, stderr=subprocess.PIPE)
        self.until(lambda: self.proposals() > 0, "the chain has begun")
        log = self.tmp / "follow.log"
        follow = self.client(self.tmp / "samples.csv", log, "samples", self.run_dir, "--follow")
        self.until(lambda: (self.tmp / "samples.csv").stat().st_size > 0, "the client follows")
        self.flowloom("drain", self.run_dir)
        for child in (worker, server, coordinator):
            self.leaves(child)
        self.assertIn("The run was drained", worker.stderr.read())
        self.assertEqual(self.ended(follow), 2)
        self.assertIn("The run was drained", log.read_text())
        done = self.status()["proposals"]
        self.assertGreater(done, 0)
        self.coordinator()
        self.assertEqual(self.status()["proposals"], done)


if __name__ == "__main__":
    sys.exit(unittest.main())
