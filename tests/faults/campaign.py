"""Campaigns of faults: what the tests in this folder share, on top of the integration tests' harness.

A campaign draws its faults from a seed, the test's own unless FLOWLOOM_SEED names another, and writes down what it did;
a failure prints both. FLOWLOOM_CAMPAIGN=20 makes it twenty times as long. Digests of undisturbed runs are computed once
per run file.

Acknowledged is what a client has read: `Reader` follows the stream of committed proposals, and afterwards every line that
it ever got must stand in the log.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from harness import BIN, DEADLINE, Flowloom, small_run  # noqa: E402

SCALE = int(os.environ.get("FLOWLOOM_CAMPAIGN", "1"))
SKIPPED = 77  # the exit code by which ctest shows a test as skipped (CMakeLists.txt)

_kept = tempfile.TemporaryDirectory(prefix="flowloom-models-")
_digests = {}  # run text -> digest


def main():
    """Runs the tests of the script, and ends as skipped where each of them was."""
    result = unittest.main(exit=False).result
    if result.wasSuccessful() and len(result.skipped) == result.testsRun:
        sys.exit(SKIPPED)
    sys.exit(not result.wasSuccessful())


class Campaign(Flowloom):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("FLOWLOOM_SEED", zlib.crc32(self.id().split(".", 1)[-1].encode())))
        self.random = random.Random(self.seed)
        self.schedule = []
        self.began = time.monotonic()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            lines = "\n".join(f"  {at:8.3f} s  {what}" for at, what in self.schedule)
            print(f"\n{self.id()}: FLOWLOOM_SEED={self.seed} repeats this schedule:\n{lines}", file=sys.stderr)
        return result

    def fault(self, what):
        """Writes down what is about to be done."""
        self.schedule.append((time.monotonic() - self.began, what))

    # ---------------------------------------------------------------- runs and their digests

    def undisturbed(self, run_file):
        """The digest of this run file's chain when nothing happens to it."""
        text = run_file.read_text()
        if text not in _digests:
            folder = self.tmp / "undisturbed"
            self.flowloom("up", run_file, "--dir", folder, "--json", "--quiet", "--workers", 2)
            _digests[text] = self.flowloom("digest", folder).strip()
            self.keep_undisturbed(folder)
            shutil.rmtree(folder)
        return _digests[text]

    def keep_undisturbed(self, folder):
        """For tests that need more of an undisturbed run than its digest."""

    def run_from_files(self, length=8000, lease=3, unit=64):
        """A run file with two checkpoints that are there already, so that nobody trains; the switch is at 3000."""
        models = [pathlib.Path(_kept.name) / name for name in ("first.safetensors", "second.safetensors")]
        if not models[1].exists():
            trained = self.write(small_run(length=64), "trained.toml")
            self.flowloom("train", trained, "--dir", self.tmp / "trained", "--quiet")
            for model, file in zip(models, sorted((self.tmp / "trained/train").glob("step-*.safetensors"))):
                shutil.copy(file, model)
            shutil.rmtree(self.tmp / "trained")
        for model in models:
            shutil.copy(model, self.tmp)
        text = small_run(length=length, lease=lease, unit=unit)
        for condition, model in (("{ step = 60 }", models[0]), ('"trained"', models[1])):
            self.assertIn(condition, text)
            text = text.replace(f"when = {condition}", f'when = {{ file = "{model.name}" }}')
        return self.write(text, "files.toml")

    def assert_same_chain(self, run_file):
        self.assertEqual(self.digest(), self.undisturbed(run_file))
        self.flowloom("verify", self.run_dir)

    # ---------------------------------------------------------------- processes

    def kill(self, child):
        super().kill(child)
        self.forget(child)

    def forget(self, child):
        """A process that has ended; its files are closed, for there may be thousands."""
        for stream in (child.stdout, child.stderr):
            if stream:
                stream.close()
        self.children.remove(child)

    def owner(self):
        """What the coordinator that serves has announced, or an empty dictionary."""
        try:
            return json.loads((self.run_dir / "coordinator.json").read_text())
        except FileNotFoundError:
            return {}

    def address(self):
        return self.owner().get("address")

    def serves(self, coordinator):
        """Whether it, and not the one before, has announced itself."""
        return self.owner().get("pid") == coordinator.pid

    def live_status(self, coordinator):
        """Asked by RPC, never from the file, which a coordinator that starts may be opening; None while it does not answer."""
        owner = self.owner()
        if owner.get("pid") != coordinator.pid:
            return None
        code, out, _ = self.command("flowloom", "status", owner["address"], "--token-file", self.run_dir / "token", "--json")
        return json.loads(out) if code == 0 else None


class Reader:
    """A client that follows the chain, may be killed at any time, and remembers every proposal that it was shown.

    It asks the coordinator's address, not the directory: a stream is what acknowledges.
    """

    def __init__(self, test, lines=None):
        self.test = test
        self.lines = [] if lines is None else lines  # of proposal 0, 1, 2, …
        self.child = None
        self.stopping = False
        self.trouble = None
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()
        test.addCleanup(self.stop)

    def follow(self):
        while not self.stopping:
            address = self.test.address()
            if not address:
                time.sleep(0.02)
                continue
            begin = len(self.lines)
            self.child = subprocess.Popen(
                [BIN / "flowloom", "samples", address, "--token-file", str(self.test.run_dir / "token"), "--proposals",
                 "--follow", "--wait", "0", "--no-header", "--from", str(begin)],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for line in self.child.stdout:
                if not line.endswith("\n"):
                    break  # cut off in the middle
                if int(line.split(",", 1)[0]) != len(self.lines):
                    self.trouble = f"asked for proposal {len(self.lines)}, got: {line}"
                    self.stopping = True
                    break
                self.lines.append(self.shown(line))
            self.child.stdout.close()
            self.child.wait()

    @staticmethod
    def shown(line):
        """Without the state's index, which a stream that begins in the middle may not know."""
        index, _, rest = line.split(",", 2)
        return index + "," + rest

    def kill(self):
        child = self.child
        if child and child.poll() is None:
            child.kill()

    def stop(self):
        self.stopping = True
        while self.thread.is_alive():
            self.kill()
            self.thread.join(0.05)

    def assert_kept(self):
        """Everything that was shown is in the log, bit by bit."""
        self.stop()
        self.test.assertIsNone(self.trouble)
        out = self.test.flowloom("samples", self.test.run_dir, "--proposals", "--no-header")
        log = [self.shown(line) for line in out.splitlines(keepends=True)]
        self.test.assertEqual(self.lines, log[: len(self.lines)])
        return len(self.lines)
