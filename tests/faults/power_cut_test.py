"""The power goes, again and again over one chain: whatever was not synchronised is lost, cut short or torn. Afterwards
nothing that a client was shown is missing, and the digest is the undisturbed run's."""

import os
import pathlib
import shutil
import sys
import time

from campaign import BIN, DEADLINE, SCALE, Campaign, Reader, main
from kills_test import slow_run
from power_cut import Disk

RECORDER = pathlib.Path(os.environ.get("FLOWLOOM_RECORDER", BIN / "librecorder.so"))


class PowerCutTest(Campaign):
    def setUp(self):
        super().setUp()
        self.disk = self.tmp / "disk"
        self.run_dir = self.disk / "run"
        self.journals = self.tmp / "journals"

    def recorded(self):
        return {**os.environ, "LD_PRELOAD": str(RECORDER), "FLOWLOOM_RECORD_BELOW": str(self.disk),
                "FLOWLOOM_RECORD_TO": str(self.journals)}

    def test_the_power_goes_again_and_again(self):
        cuts = 0
        run = self.write(slow_run(80_000 if SCALE == 1 else 800_000))
        undisturbed = self.undisturbed(run)
        while cuts < 8 * SCALE:
            shutil.rmtree(self.disk, ignore_errors=True)
            self.disk.mkdir()
            lines, complete = [], False
            while not complete:
                how = self.random.choice(["nothing", "short", "torn", "whole"]) if cuts < 8 * SCALE else None
                pause = self.random.choice([self.random.uniform(0, 0.15), self.random.uniform(0.1, 1)])
                complete = self.one_life(run, lines, how, pause if how else DEADLINE * SCALE)
                cuts += not complete
            self.assertEqual(self.digest(), undisturbed)
            self.flowloom("verify", self.run_dir)
        print(f"{cuts} power cuts", file=sys.stderr)

    def test_what_a_new_run_has_shown_survives_its_first_cut(self):
        """Directories, token, run file and store were all made in this life."""
        run = self.run_from_files(length=400_000)
        for how in ("nothing", "short", "torn"):
            shutil.rmtree(self.disk, ignore_errors=True)
            self.disk.mkdir()
            lines = []
            self.assertFalse(self.one_life(run, lines, how, pause=0, at_least=64))
            self.assertTrue((self.run_dir / "chain.sqlite").exists(), f"the run is gone, {len(lines)} proposals were shown")
            shown = self.flowloom("samples", self.run_dir, "--proposals", "--no-header").splitlines(keepends=True)
            self.assertEqual([Reader.shown(line) for line in shown[: len(lines)]], lines)
            self.flowloom("verify", self.run_dir)

    def one_life(self, run, lines, how, pause, at_least=0):
        """Switches the machine on, and after a while off, with losses as in `how`. True if the chain ended first."""
        shutil.rmtree(self.journals, ignore_errors=True)
        self.journals.mkdir()
        disk = Disk(self.disk)
        began = time.monotonic()
        coordinator = self.start("flowloom-coordinator", "--dir", self.run_dir, "--run", run, env=self.recorded())
        def on():
            return coordinator.poll() is None and (time.monotonic() - began < pause or len(lines) < at_least)

        # Nobody asks an address of the life before.
        while on() and not self.serves(coordinator):
            time.sleep(0.005)
        machine, reader = [coordinator], None
        if self.serves(coordinator):
            status = self.live_status(coordinator)
            self.assertTrue(status is None or int(status["proposals"]) >= len(lines), "proposals that a client was shown")
            reader = Reader(self, lines)
            machine.append(self.start("flowloom-server", "--dir", self.run_dir, env=self.recorded()))
            machine += [self.worker(), self.worker()]
        while on():
            time.sleep(0.005)
        ended = coordinator.poll()
        seed = self.random.getrandbits(32)
        self.fault(f"power cut, {how or 'none'} (seed {seed}), after {pause:.3f} s; {len(lines)} proposals shown")
        if ended is not None:
            self.assertEqual(ended, 0, "the coordinator ended by itself: " + (coordinator.stderr.read() if ended else ""))
        for process in machine:
            if process.poll() is None and ended is None:
                process.kill()
        for process in machine:
            self.ended(process)
            self.forget(process)
        if reader:
            reader.stop()
            self.assertIsNone(reader.trouble)
        if ended is None:
            journals = [self.journals / f"{process.pid}.journal" for process in machine]
            for journal in journals:
                if journal.exists():
                    disk.play(journal)
            disk.cut(how, seed)
        else:
            reader and reader.assert_kept()
        return ended is not None


if __name__ == "__main__":
    main()
