"""ExactnessOneIdea: the chain is a pure function of the run file. Whatever happens to the processes, the digest is the
one of an undisturbed run."""

import os
import re
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
        self.leaves(coordinator)
        self.assert_same_chain()

    def test_another_arithmetic_of_libtorch(self):
        """LibTorch checks what is published, and its last digits, which depend on the machine, go nowhere."""
        torch = self.write(small_run(engine="torch"), "torch.toml")
        digests = []
        for arithmetic in ("AUTO", "COMPATIBLE"):
            os.environ["MKL_CBWR"] = arithmetic
            self.addCleanup(os.environ.pop, "MKL_CBWR", None)
            self.complete(torch, "--workers", 1)
            digests.append(self.digest())
            shutil.rmtree(self.run_dir)
        if digests[0] == digests[1]:
            self.skipTest("this LibTorch knows one arithmetic only")
        self.complete(self.run_file, "--workers", 1)
        self.assert_same_chain()

    def test_a_worker_on_every_instruction_set(self):
        coordinator = self.coordinator(self.run_file)
        self.server()
        for device in self.devices():
            self.worker("--device", device, "--name", device)
        self.leaves(coordinator)
        self.assert_same_chain()

    def test_every_instruction_set_alone(self):
        for device in self.devices():
            coordinator = self.coordinator(self.run_file)
            self.server()
            self.worker("--device", device)
            self.leaves(coordinator)
            self.assert_same_chain()
            shutil.rmtree(self.run_dir)

    def test_the_samples_do_not_depend_on_the_unit(self):
        samples = []
        for unit in (64, 512):
            run = self.write(small_run(length=6144, unit=unit), f"unit-{unit}.toml")
            self.complete(run, "--workers", 2, "--set", "chain.versions=[{from=0,when={step=60}}]", "--set", "chain.window=2")
            samples.append(self.flowloom("samples", self.run_dir))
            shutil.rmtree(self.run_dir)
        self.assertEqual(*samples)

    def test_the_engine_torch_whatever_the_number_of_workers(self):
        """Its bits are this machine's own; a worker opens it because the run asks for it."""
        run = self.write(small_run(engine="torch"), "torch.toml")
        digests = []
        for workers in (1, 3):
            self.complete(run, "--workers", workers)
            digests.append(self.digest())
            shutil.rmtree(self.run_dir)
        self.assertEqual(*digests)
        self.assertNotEqual(digests[0], self.undisturbed)

    def test_workers_killed_on_the_way(self):
        coordinator = self.coordinator(self.run_file)
        self.server()
        for at in (64, 1000, 4000):
            doomed = self.worker()
            self.until(lambda: self.proposals() >= at, f"{at} proposals")
            self.kill(doomed)
        self.worker()
        self.leaves(coordinator)
        self.assert_same_chain()

    def test_workers_joining_late(self):
        coordinator = self.coordinator(self.run_file)
        self.server()
        self.worker()
        self.until(lambda: self.proposals() >= 1000, "1000 proposals")
        self.worker()
        self.worker()
        self.leaves(coordinator)
        self.assert_same_chain()

    def test_a_coordinator_killed_and_restarted(self):
        coordinator = self.coordinator(self.run_file, "--stay")  # a fast machine completes the chain before the next look
        self.server()
        self.worker()
        for at, then in ((200, ["--stay"]), (1500, ["--stay"]), (3000, [])):
            self.until(lambda: self.proposals() >= at, f"{at} proposals")
            self.kill(coordinator)
            coordinator = self.coordinator(None, *then)
        self.leaves(coordinator)
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
        self.leaves(coordinator)
        self.assert_same_chain()

    def test_workers_that_compute_gradients_come_and_die(self):
        """The training takes what workers give it, and its weights do not depend on that."""
        heavy = {"[4, 4]": "[16, 16]", "[4]": "[8, 8]", "batch = 64": "batch = 2048", "gradient_unit = 32": "gradient_unit = 256",
                 "steps = 200": "steps = 60"}
        text = small_run()
        for light, instead in heavy.items():
            self.assertIn(light, text)
            text = text.replace(light, instead)
        run = self.write(text, "shared.toml")
        weights = []
        for workers in (0, 3):
            coordinator = self.coordinator(run, "--stay", "--set", "chain.versions=[{from=0,when='trained'}]")
            helpers = [self.worker("--name", f"helper-{number}") for number in range(workers)]
            server = self.server("--threads", 1, "--to-end", *([] if workers else ["--alone"]))
            if workers:
                for more in (3, 6):
                    self.until(lambda: self.helped_units() >= more, f"{more} gradient units by workers")
                    self.kill(helpers.pop())
                self.worker("--name", "late")
            self.leaves(server)
            weights.append((self.run_dir / "models/000001.safetensors").read_bytes())
            if workers:
                self.assertGreaterEqual(self.helped_units(), 6)
            self.kill(coordinator)
            shutil.rmtree(self.run_dir)
        self.assertEqual(*weights)

    def helped_units(self):
        status = self.status()
        return int(status["training"]["helped_units"]) if status and status.get("training") else 0

    def test_everything_killed_under_up(self):
        """`up` starts again what dies."""
        up = self.start("flowloom", "up", self.run_file, "--dir", self.run_dir, "--quiet")
        for at, name in ((0, "flowloom-worker"), (300, "flowloom-coordinator"), (2500, "flowloom-worker")):
            self.until(lambda: self.proposals() >= at, f"{at} proposals")
            # It may be between two lives; behind proposal 3000 the chain may be complete before anybody looks.
            self.until(lambda: self.killed_child_of(up, name) or self.proposals() > 3000, f"{name} is a child of up")
        self.leaves(up)
        self.assert_same_chain()

    def devices(self):
        """Those of this processor, by the sentence that names them."""
        refusal = self.refused("flowloom-worker", "--dir", self.run_dir, "--device", "cpu:none")
        devices = re.findall(r"cpu:[a-z0-9]+", refusal.split("it has")[1])
        self.assertIn("cpu:portable", devices)
        return devices

    def killed_child_of(self, parent, name):
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
                return True
        return False


if __name__ == "__main__":
    sys.exit(unittest.main())
