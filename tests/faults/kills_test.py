"""kill -9 of coordinator, workers, training server and clients, at any moment of a run. Afterwards the digest is the
undisturbed run's, and nothing that a client was shown is lost."""

import shutil
import signal
import sys
import time

from campaign import DEADLINE, SCALE, Campaign, Reader, main, small_run

# Slow enough to be killed in: every unit takes milliseconds. With several switches, so that kills fall on them.
RUN = """
[run]
name = "kills"
seed = 11
unit = 64
engine = "lanes"

[theory]
kind = "phi4"
lattice = [4, 4]
m2 = -4.0
lambda = 8.0

[flow]
kind = "affine-coupling"
layers = 16
hidden = [32, 32]

[train]
batch = 128
gradient_unit = 32
learning_rate = 1e-2
clip = 10.0
evaluate_every = 5
evaluate_samples = 256
stop = {{ steps = 40 }}

[chain]
length = {length}
window = 16
lease = 2
versions = [
  {{ from = 0, when = {{ step = 10 }} }}, {{ from = {first}, when = {{ step = 20 }} }},
  {{ from = {second}, when = {{ step = 30 }} }}, {{ from = {third}, when = "trained" }} ]
"""


def slow_run(length):
    quarter = length // 4 // 64 * 64
    return RUN.format(length=length, first=quarter, second=2 * quarter + 32, third=3 * quarter)


class KillsTest(Campaign):
    def setUp(self):
        super().setUp()
        self.checkpoints = 0  # that the server has written for the coordinator
        self.kills_in_publishing = 0

    def test_everything_is_killed_again_and_again(self):
        """Chain after chain until there were enough kills; a third of them at least, and of a long campaign's 200, over one."""
        wanted = 30 * SCALE
        run = self.write(slow_run(80_000 * SCALE))
        kills = []  # over each chain
        while sum(kills) < wanted:
            kills.append(self.kills_over_one_chain(run, wanted - sum(kills)))
            self.assert_same_chain(run)
            shutil.rmtree(self.run_dir)
        self.assertGreaterEqual(max(kills), min(200, wanted // 3))
        if SCALE > 1:
            self.assertGreater(self.kills_in_publishing, 0)

    def kills_over_one_chain(self, run, wanted):
        self.undisturbed(run)
        start = {
            "coordinator": lambda: self.start("flowloom-coordinator", "--dir", self.run_dir, "--run", run),
            "worker 1": lambda: self.worker("--name", "1"),
            "worker 2": lambda: self.worker("--name", "2"),
            "server": lambda: self.server(),
        }
        running = {role: begin() for role, begin in start.items()}
        reader = Reader(self)
        kills = self.checkpoints = 0
        end = time.monotonic() + DEADLINE * SCALE
        while running["coordinator"].poll() is None:
            self.assertLess(time.monotonic(), end, "the chain ends")
            # Shortly after a start, or somewhere in the life that follows.
            publishes = self.publishes_within(self.random.uniform(0, self.random.choice((0.08, 0.3))))
            while kills >= 10 and not reader.lines and not publishes:  # most kills are for a chain that is under way
                self.assertLess(time.monotonic(), end, "a first version serves")
                publishes = self.publishes_within(0.1)
            self.leave_only_in_order(running)
            role = "server" if publishes else self.random.choice([*start, "coordinator", "reader"])
            if kills >= wanted or running["coordinator"].poll() is not None:
                break
            self.fault(f"kill {role}{' while it publishes' if publishes else ''}")
            if role == "reader":
                reader.kill()
            elif role in running:  # the server is not, when it has trained
                shown = len(reader.lines)
                self.kill(running[role])
                self.kills_in_publishing += publishes
                running[role] = start[role]()
                if role == "coordinator" and self.random.random() < 0.3:
                    self.never_fewer_than(shown, running[role])
            else:
                continue
            kills += 1
        while running["coordinator"].poll() is None:
            self.assertLess(time.monotonic(), end, "the chain ends")
            time.sleep(0.05)
        self.assertEqual(running["coordinator"].returncode, 0)
        print(f"{kills} kills, {self.kills_in_publishing} of a server that published, {reader.assert_kept()} proposals read on the way", file=sys.stderr)
        return kills

    def publishes_within(self, seconds):
        """Waits so long, or until the server has written a checkpoint, which the coordinator gets next."""
        end = time.monotonic() + seconds
        while True:
            before = self.checkpoints
            self.checkpoints = max(before, len(list((self.run_dir / "train").glob("step-*.safetensors"))))
            if self.checkpoints > before:
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(0.001)

    def leave_only_in_order(self, running):
        """Who was not killed ends with 0, or not at all."""
        for role, child in list(running.items()):
            if child.poll() is None:
                continue
            self.assertEqual(child.returncode, 0, f"{role} ended by itself: {child.stderr.read() if child.returncode else ''}")
            if role != "coordinator":
                self.forget(running.pop(role))

    def never_fewer_than(self, shown, coordinator):
        self.until(lambda: coordinator.poll() is not None or self.serves(coordinator), "the coordinator serves again")
        status = self.live_status(coordinator) if coordinator.poll() is None else None
        self.assertTrue(status is None or int(status["proposals"]) >= shown, f"{shown} proposals were shown")


class PausesTest(Campaign):
    """SIGSTOP: a process that is there, holds its connection and does nothing, for longer than a lease."""

    def setUp(self):
        super().setUp()
        self.begin(self.run_from_files(length=40_000, lease=1))

    def begin(self, run_file):
        self.run_file = run_file
        self.undisturbed(run_file)
        self.coordinator_process = self.coordinator(run_file)

    def pause(self, child, what, seconds):
        self.fault(f"SIGSTOP of {what} for {seconds} s")
        child.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        child.send_signal(signal.SIGCONT)

    def test_a_worker_sleeps_through_its_lease(self):
        sleeper, _ = self.worker("--name", "sleeper"), self.worker("--name", "awake")
        self.until(lambda: self.proposals() >= 64, "64 proposals")
        self.pause(sleeper, "a worker", 2.5)
        self.leaves(self.coordinator_process)
        self.assert_same_chain(self.run_file)

    def test_the_only_worker_sleeps_through_its_lease(self):
        sleeper = self.worker()
        self.until(lambda: self.proposals() >= 64, "64 proposals")
        self.pause(sleeper, "the only worker", 2.5)
        self.leaves(self.coordinator_process)
        self.assert_same_chain(self.run_file)

    def test_the_coordinator_sleeps_through_everybodys_lease(self):
        self.worker()
        self.worker()
        self.until(lambda: self.proposals() >= 64, "64 proposals")
        self.pause(self.coordinator_process, "the coordinator", 2.5)
        self.leaves(self.coordinator_process)
        self.assert_same_chain(self.run_file)

    def test_the_server_sleeps_while_the_chain_waits_for_it(self):
        self.kill(self.coordinator_process)
        shutil.rmtree(self.run_dir)
        self.begin(self.write(small_run(length=40_000, lease=1).replace("steps = 200 ", "steps = 2000 ")))
        server = self.server("--to-end")
        self.worker()
        first = self.run_dir / "train/step-000000060.safetensors"
        self.until(first.exists, "the first of two versions")
        self.pause(server, "the server", 2.5)
        self.assertIsNone(self.coordinator_process.poll(), "the chain waits for the second")
        self.leaves(self.coordinator_process)
        self.leaves(server)
        self.assert_same_chain(self.run_file)

    def test_a_client_that_follows_sleeps_and_misses_nothing(self):
        """The coordinator stays: one that leaves meanwhile takes with it what is still on its way through the network."""
        self.kill(self.coordinator_process)
        self.coordinator_process = self.coordinator(None, "--stay")
        reader = Reader(self)
        self.worker()
        self.until(lambda: len(reader.lines) >= 64, "64 proposals were read")
        self.pause(reader.child, "a client", 2.5)
        self.until(lambda: len(reader.lines) == 40_000, "it has read them all")
        self.flowloom("drain", self.run_dir)
        self.leaves(self.coordinator_process)
        reader.assert_kept()
        self.assert_same_chain(self.run_file)


if __name__ == "__main__":
    main()
