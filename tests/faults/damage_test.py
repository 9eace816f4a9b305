"""Bytes that were on disk and are not any more what was written: somewhere it is seen and refused with a sentence, or it was
harmless. Never is another chain presented as good."""

import contextlib
import mmap
import shutil
import sqlite3
import sys
import time

from campaign import DEADLINE, SCALE, Campaign, Reader, main, small_run


class DamageTest(Campaign):
    """Each test damages copies of one run that was ended in mid-chain, and goes on with every copy."""

    def setUp(self):
        super().setUp()
        self.run_file = self.write(small_run(length=6400, lease=2))
        self.undisturbed(self.run_file)
        self.half = self.tmp / "half"

    def half_a_run(self, in_order):
        """Ended in order (all in one file) or killed (with the rollback journal beside it)."""
        coordinator = self.coordinator(self.run_file, "--set", "chain.length=4480")
        server, _ = self.server("--to-end"), self.worker()
        if in_order:
            self.leaves(coordinator)
            self.ended(server)
        else:
            self.until(lambda: self.proposals() >= 2000, "2000 proposals")
            self.kill(coordinator)
        for child in list(self.children):
            if child.poll() is None:
                self.kill(child)
        (self.run_dir / "coordinator.json").unlink(missing_ok=True)
        self.run_dir.rename(self.half)

    def flip(self, file, count=1):
        """Flips bits in so many bytes of it."""
        data = bytearray(file.read_bytes())
        for _ in range(count):
            place = self.random.randrange(len(data))
            data[place] ^= 1 << self.random.randrange(8)
            self.fault(f"{file.name}: a bit of byte {place} of {len(data)}")
        file.write_bytes(data)

    def go_on(self):
        """Starts everything on the directory. What comes: "refused" (a sentence names the way out), "seen" (by reading or
        verifying) or "harmless" (the undisturbed digest). Anything else fails."""
        coordinator = self.start("flowloom-coordinator", "--dir", self.run_dir, "--run", self.run_file)
        server, worker = self.server("--wait", "2"), self.worker("--wait", "2")
        programs = {"coordinator": coordinator, "server": server, "worker": worker}
        end = time.monotonic() + DEADLINE
        refusal = None
        while coordinator.poll() is None and not refusal:
            self.assertLess(time.monotonic(), end, "neither a refusal nor an end")
            time.sleep(0.02)
            for role, program in programs.items():
                if program.poll():
                    refusal = role, program.returncode, program.stderr.read().strip().splitlines()[-1]
            status = self.live_status(coordinator)
            if status and status["state"] == "halted":
                refusal = "status", 2, status["sentence"]
        for child in list(self.children):
            if child.poll() is None:
                self.kill(child)
            else:
                self.forget(child)
        if refusal or coordinator.returncode:
            role, code, sentence = refusal or ("coordinator", coordinator.returncode, "?")
            self.assertIn(code, (1, 2), f"{role}: {sentence}")
            self.assertNotIn("internal error", sentence)
            self.assertRegex(sentence, r"[.?]$", role)
            return "refused", sentence
        code, out, err = self.command("flowloom", "verify", self.run_dir)
        if code:
            return "seen", (out + err).strip().splitlines()[-1]
        code, out, err = self.command("flowloom", "digest", self.run_dir)
        if code:
            return "seen", err
        self.assertEqual(out.strip(), self.undisturbed(self.run_file), "another chain is presented as good")
        return "harmless", ""

    def damage(self, name, times):
        """Damages a random byte of this file so many times, each in a fresh copy. Returns how often what happened."""
        outcomes = {}
        for _ in range(times):
            shutil.rmtree(self.run_dir, ignore_errors=True)
            shutil.copytree(self.half, self.run_dir)
            self.flip(self.run_dir / name)
            outcome, sentence = self.go_on()
            self.fault(f"  {outcome} {sentence}")
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        print(f"{name}: {outcomes}", file=sys.stderr)
        return outcomes

    def test_the_store(self):
        self.half_a_run(in_order=True)
        outcomes = self.damage("chain.sqlite", 8 * SCALE)
        self.assertNotIn("seen", outcomes, "a chain was carried to its end on what was damaged")

    def test_the_journal_of_a_killed_coordinator(self):
        """Its pages have checksums, and it counts only if a transaction was under way."""
        self.half_a_run(in_order=False)
        self.damage("chain.sqlite-journal", 3 * SCALE)

    def test_the_head_of_the_store(self):
        self.half_a_run(in_order=True)
        for place in (0, 18, 60, 68, 100):  # magic, format, version, application, the schema's page
            shutil.rmtree(self.run_dir, ignore_errors=True)
            shutil.copytree(self.half, self.run_dir)
            data = bytearray((self.run_dir / "chain.sqlite").read_bytes())
            data[place] ^= 0x5A
            self.fault(f"byte {place}")
            (self.run_dir / "chain.sqlite").write_bytes(data)
            self.assertEqual(self.go_on()[0], "refused")

    def test_a_checkpoint(self):
        self.half_a_run(in_order=True)
        outcomes = self.damage("models/000001.safetensors", 2 * SCALE)
        self.assertEqual(outcomes, {"refused": 2 * SCALE})

    def test_the_run_file(self):
        self.half_a_run(in_order=True)
        self.damage("run.toml", 4 * SCALE)

    def test_a_digit_of_the_run_file(self):
        """It still reads as a run file, of another chain: no start takes it."""
        self.half_a_run(in_order=True)
        text = (self.half / "run.toml").read_text()
        digits = [place for place, letter in enumerate(text) if letter.isdigit()]
        for place in self.random.sample(digits, 3 * min(SCALE, 10)):
            shutil.rmtree(self.run_dir, ignore_errors=True)
            shutil.copytree(self.half, self.run_dir)
            other = self.random.choice([digit for digit in "123456789" if digit != text[place]])
            (self.run_dir / "run.toml").write_text(text[:place] + other + text[place + 1 :])
            self.fault(f"run.toml: digit {place}, '{text[place]}', is {other}")
            for program, arguments in (("flowloom-coordinator", ["--dir", self.run_dir]), ("flowloom", ["verify", self.run_dir])):
                self.assertIn("run.toml", self.refused(program, *arguments))

    def test_the_trainers_state(self):
        self.half_a_run(in_order=False)
        for name in ("state.safetensors", "step-000000060.safetensors"):
            self.damage("train/" + name, 2 * SCALE)


class BeforeASnapshotTest(Campaign):
    """A start reads the log from its last snapshot on, and there is one every 2^21 proposals. What was damaged before it is
    named by every command that reads it, and a coordinator that has not read it serves none of it."""

    UNIT = 4096
    HALF = (1 << 21) + 32 * UNIT

    def setUp(self):
        super().setUp()
        self.run_file = self.run_from_files(length=self.HALF + 16 * self.UNIT, lease=30, unit=self.UNIT)
        self.half = self.tmp / "half"
        coordinator = self.coordinator(self.run_file, "--set", f"chain.length={self.HALF}")
        workers = [self.worker(), self.worker()]
        self.leaves(coordinator)
        for worker in workers:
            self.leaves(worker)
        self.run_dir.rename(self.half)

    def a_unit_before_the_snapshot(self):
        """Returns (record, first proposal, a piece of its numbers)."""
        with contextlib.closing(sqlite3.connect(f"file:{self.half / 'chain.sqlite'}?mode=ro", uri=True)) as store:
            snapshot, = store.execute("SELECT max(sequence) FROM snapshots").fetchone()
            units = store.execute("SELECT sequence FROM records WHERE kind = 'unit' AND sequence <= ?", (snapshot,)).fetchall()
            sequence, = self.random.choice(units)
            first, data = store.execute("SELECT first_index, data FROM records WHERE sequence = ?", (sequence,)).fetchone()
        begin = 8 * self.random.randrange(len(data) // 8 - 8)
        return sequence, first, data[begin : begin + 64]

    def damage(self):
        """Flips a bit in a number of a unit. Returns (record, first proposal)."""
        store = self.run_dir / "chain.sqlite"
        place = -1
        while place < 0:  # a piece may lie on two pages
            sequence, first, piece = self.a_unit_before_the_snapshot()
            with open(store, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                place = data.find(piece)
        place += self.random.randrange(len(piece))
        bit = self.random.randrange(8)
        self.fault(f"record {sequence} (proposals {first} and on): bit {bit} of byte {place}")
        with open(store, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << bit]))
        return sequence, first

    def read(self, peer, first, *options):
        """What it gives of the unit at `first`, as (exit code, lines, sentence)."""
        code, out, err = self.command("flowloom", "samples", peer, "--proposals", "--no-header", "--wait", "5", "--from", first,
                                      "--count", self.UNIT, *options)
        return code, [Reader.shown(line) for line in out.splitlines(keepends=True)], err

    def test_it_is_named_and_never_served(self):
        for _ in range(2 * SCALE):
            shutil.rmtree(self.run_dir, ignore_errors=True)
            shutil.copytree(self.half, self.run_dir)
            sequence, first = self.damage()
            code, right, _ = self.read(self.half, first)
            self.assertEqual((code, len(right)), (0, self.UNIT))
            for command in ("verify", "status", "samples"):
                self.assert_named_by(command, sequence)

            coordinator = self.start("flowloom-coordinator", "--dir", self.run_dir, "--run", self.run_file)
            self.until(lambda: coordinator.poll() is not None or self.serves(coordinator), "it serves, or refuses")
            if coordinator.poll() is None:
                code, lines, sentence = self.read(self.address(), first, "--token-file", self.run_dir / "token")
                self.assertNotEqual(code, 0, "it serves what was damaged")
                self.assertEqual(lines, right[: len(lines)])
                self.assertIn(f"Record {sequence} ", sentence)
            if coordinator.poll() is None:
                self.worker()
            self.until(lambda: coordinator.poll() is not None or self.halted(coordinator), "it ends or halts")
            if coordinator.poll():
                self.assertIn(f"Record {sequence} ", coordinator.stderr.read())
            for child in list(self.children):
                if child.poll() is None:
                    self.kill(child)
                else:
                    self.forget(child)
            self.assert_named_by("verify", sequence)

    def assert_named_by(self, command, sequence):
        code, out, err = self.command("flowloom", command, self.run_dir)
        self.assertIn(code, (1, 2), f"{command}: {err}")
        self.assertRegex(out[-1000:] + err, rf"Record {sequence}\b", command)

    def halted(self, coordinator):
        status = self.live_status(coordinator)
        return status is not None and status["state"] == "halted"


if __name__ == "__main__":
    main()
