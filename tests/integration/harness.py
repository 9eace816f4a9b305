"""Real processes on loopback: what the integration tests share. Plain Python, nothing to install.

Every wait has a deadline; every process that a test starts is ended by its id when the test is over. FLOWLOOM_KEEP=1
leaves the directories, with their logs, for a look.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("FLOWLOOM_BIN", ROOT / "build/release/bin")).resolve()
DEADLINE = float(os.environ.get("FLOWLOOM_TEST_DEADLINE", "120"))  # seconds for any one wait

# Small enough to train in seconds, with a switch in mid-chain. Units are small, so that there are many.
SMALL_RUN = """
[run]
name = "small"
seed = 7
unit = {unit}
engine = "{engine}"

[theory]
kind = "phi4"
lattice = [4, 4]
m2 = -4.0
lambda = 8.0

[flow]
kind = "affine-coupling"
layers = 4
hidden = [4]

[train]
batch = 64
gradient_unit = 32
learning_rate = 1e-2
clip = 10.0
evaluate_every = 20
evaluate_samples = 512
stop = {{ steps = 200 }}

[chain]
length = {length}
window = 16
lease = {lease}
versions = [ {{ from = 0, when = {{ step = 60 }} }}, {{ from = 3000, when = "trained" }} ]
"""


def small_run(length=8000, lease=30, engine="lanes", unit=64):
    return SMALL_RUN.format(length=length, lease=lease, engine=engine, unit=unit)


class Flowloom(unittest.TestCase):
    """A temporary directory and the means to run Flowloom's programs in it."""

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="flowloom-test-"))
        self.run_dir = self.tmp / "run"
        self.children = []

    def tearDown(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()
        if os.environ.get("FLOWLOOM_KEEP"):
            print(f"kept: {self.tmp}")
            return
        shutil.rmtree(self.tmp, ignore_errors=True)

    # ---------------------------------------------------------------- files and commands

    def write(self, text, name="run.toml"):
        file = self.tmp / name
        file.write_text(text)
        return file

    def command(self, program, *arguments, **options):
        """Runs to the end; returns (exit code, stdout, stderr)."""
        done = subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE,
                              cwd=self.tmp, **options)
        return done.returncode, done.stdout, done.stderr

    def flowloom(self, *arguments):
        """Runs `flowloom …`, which must succeed; returns its stdout."""
        code, out, err = self.command("flowloom", *arguments)
        self.assertEqual(code, 0, f"flowloom {' '.join(map(str, arguments))}: {err}")
        return out

    def refused(self, program, *arguments):
        """Runs a command that must be refused: exit code 2, one sentence on stderr. Returns the sentence."""
        code, out, err = self.command(program, *arguments)
        self.assertEqual(code, 2, f"{program} {' '.join(map(str, arguments))} gave {code}: {out}{err}")
        self.assertEqual(len(err.strip().splitlines()), 1, err)
        self.assertRegex(err.strip(), r"[.?]$", "a sentence ends like one")
        return err.strip()

    # ---------------------------------------------------------------- processes

    def start(self, program, *arguments, **options):
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "cwd": self.tmp} | options
        child = subprocess.Popen([BIN / program, *map(str, arguments)], **options)
        self.children.append(child)
        return child

    def coordinator(self, run=None, *arguments, **options):
        """Starts one and waits until it serves (or has left, with nothing to do: the chain is complete)."""
        owner = self.run_dir / "coordinator.json"
        owner.unlink(missing_ok=True)
        child = self.start("flowloom-coordinator", "--dir", self.run_dir, *(["--run", run] if run else []), *arguments, **options)
        self.until(lambda: owner.exists() or child.poll() is not None, "the coordinator serves")
        if child.poll():
            self.fail("the coordinator ended: " + child.stderr.read())
        return child

    def worker(self, *arguments):
        return self.start("flowloom-worker", "--dir", self.run_dir, *arguments)

    def server(self, *arguments):
        return self.start("flowloom-server", "--dir", self.run_dir, *arguments)

    def client(self, out, err, *arguments):
        """The command line, which writes to these files."""
        with open(out, "a") as stdout, open(err, "a") as stderr:
            return self.start("flowloom", *arguments, stdout=stdout, stderr=stderr)

    def until(self, condition, what):
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.02)
        self.fail(f"not within {DEADLINE} s: {what}")

    def ended(self, child):
        self.until(lambda: child.poll() is not None, " ".join(map(str, child.args)) + " ends")
        return child.returncode

    def leaves(self, child):
        """It ends, and all was well."""
        code = self.ended(child)
        self.assertEqual(code, 0, " ".join(map(str, child.args)) + ": " + (child.stderr.read() if code else ""))

    def kill(self, child):
        """kill -9, by its id."""
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

    # ---------------------------------------------------------------- what a run says of itself

    def status(self):
        """The live (or offline) status, or None while there is none."""
        code, out, _ = self.command("flowloom", "status", self.run_dir, "--json")
        return json.loads(out) if code == 0 else None

    def proposals(self):
        status = self.status()
        return int(status["proposals"]) if status else 0

    def digest(self):
        head = self.flowloom("digest", self.run_dir).strip()
        self.assertRegex(head, r"^[0-9a-f]{64}$")
        return head

    def complete(self, run, *arguments):
        """`flowloom up` to the end; returns the final table."""
        return json.loads(self.flowloom("up", run, "--dir", self.run_dir, "--json", "--quiet", *arguments))
