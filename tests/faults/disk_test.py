"""Disks that fill up or become read-only under programs that run, and later have room again: they go on to the undisturbed
digest, by themselves or after a refusal that says what to do."""

import os
import shutil
import subprocess
import time
import unittest

from campaign import DEADLINE, SCALE, Campaign, main, small_run


def system(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@unittest.skipUnless(os.geteuid() == 0, "only root may mount a small disk")
class SmallDiskTest(Campaign):
    def setUp(self):
        super().setUp()
        self.disk = self.tmp / "disk"
        self.disk.mkdir()
        system("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", self.disk)
        self.run_dir = self.disk / "run"

    def tearDown(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        if not os.environ.get("FLOWLOOM_KEEP"):
            system("umount", "-l", self.disk)
        super().tearDown()

    def resize(self, size):
        self.fault(f"the disk has {size} bytes")
        system("mount", "-o", f"remount,size={size}", self.disk)

    def test_the_store_fills_its_disk_until_it_is_enlarged(self):
        run = self.run_from_files()
        self.undisturbed(run)
        for size in self.sizes(400_000, 900_000, 2):
            self.resize(size)
            coordinator = self.coordinator(run)
            self.worker()
            self.worker()
            self.until(lambda: (self.status() or {}).get("state") == "stalled" or coordinator.poll() is not None,
                       "the status says that it stalled")
            if coordinator.poll() is None:
                status = self.status()
                self.assertIn("make room", status["sentence"])
                self.resize("64m")
                self.assertGreaterEqual(self.proposals(), int(status["proposals"]))
            self.leaves(coordinator)
            self.assert_same_chain(run)
            self.start_again()

    def test_a_disk_too_small_for_anything_and_then_large_enough(self):
        """Wherever the room ends (making the run, publishing, training, committing), it goes on when there is more: a program
        that refuses says so in one sentence, and may be started again."""
        run = self.write(small_run(lease=2))
        self.undisturbed(run)
        for size in self.sizes(0, 700_000, 3):
            self.resize(size + 4096)
            roles = {"coordinator": ["flowloom-coordinator", "--dir", self.run_dir, "--run", run],
                     "server": ["flowloom-server", "--dir", self.run_dir, "--wait", "1"],
                     "worker": ["flowloom-worker", "--dir", self.run_dir, "--wait", "1"]}
            processes = {role: self.start(*command) for role, command in roles.items()}
            time.sleep(2)
            self.resize("64m")
            end = time.monotonic() + DEADLINE
            while processes["coordinator"].poll() != 0:
                self.assertLess(time.monotonic(), end, "the chain ends")
                time.sleep(0.05)
                for role, process in processes.items():
                    if process.poll():
                        self.assert_a_sentence(role, process)
                        processes[role] = self.start(*roles[role])
            self.assert_same_chain(run)
            self.start_again()

    def test_a_directory_that_is_read_only_at_the_start(self):
        run = self.run_from_files()
        self.undisturbed(run)
        coordinator = self.coordinator(run)
        self.worker()
        self.until(lambda: self.proposals() >= 64, "64 proposals")
        self.kill(coordinator)
        for child in list(self.children):
            self.kill(child)
        self.fault("the disk is read-only")
        system("mount", "-o", "remount,ro", self.disk)
        for arguments in ([], ["--run", run]):
            coordinator = self.start("flowloom-coordinator", "--dir", self.run_dir, *arguments)
            self.ended(coordinator)
            sentence = self.assert_a_sentence("coordinator", coordinator)
            self.assertIn(str(self.run_dir), sentence)
            self.assertRegex(sentence, "permissions|another")
        system("mount", "-o", "remount,rw", self.disk)
        coordinator = self.coordinator(run)
        self.worker()
        self.leaves(coordinator)
        self.assert_same_chain(run)

    # ----------------------------------------------------------------

    def sizes(self, low, high, count):
        return [self.random.randrange(low, high) for _ in range(count * SCALE)]

    def assert_a_sentence(self, role, process):
        text = process.stderr.read().strip().splitlines()[-1]  # above it, the log of a program that has no other
        self.fault(f"the {role} refuses: {text}")
        self.assertIn(process.returncode, (1, 2), f"{role}: {text}")
        self.assertRegex(text, r"[.?]$")
        self.assertNotIn("internal error", text)
        return text

    def start_again(self):
        for child in list(self.children):
            if child.poll() is None:
                self.kill(child)
            else:
                self.forget(child)
        shutil.rmtree(self.run_dir)


class ReadOnlyTest(Campaign):
    def setUp(self):
        super().setUp()
        probe = self.write("", "probe")
        try:
            system("chattr", "+i", probe)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("this needs root and a file system whose files can be made immutable")
        system("chattr", "-i", probe)

    def test_a_store_that_becomes_read_only_while_it_is_written(self):
        run = self.run_from_files(length=200_000)
        self.undisturbed(run)
        coordinator = self.coordinator(run)
        self.worker()
        self.until(lambda: self.proposals() >= 64, "64 proposals")
        files = [self.run_dir / "chain.sqlite", self.run_dir / "chain.sqlite-journal"]
        self.addCleanup(lambda: [subprocess.run(["chattr", "-i", file]) for file in files if file.exists()])
        self.fault("the store is read-only")
        system("chattr", "+i", *files)
        self.until(lambda: (self.status() or {}).get("state") == "stalled", "the status says that it stalled")
        self.assertRegex(self.status()["sentence"], "permissions")
        system("chattr", "-i", *files)
        self.leaves(coordinator)
        self.assert_same_chain(run)


if __name__ == "__main__":
    main()
