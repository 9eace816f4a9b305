"""The commands as a user gives them: interrupted and taken up again, looked at, checked, extended."""

import csv
import hashlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import time
import unittest

from harness import DEADLINE, Flowloom, small_run


class UpTest(Flowloom):
    def test_a_run_ends_with_a_table_that_its_log_confirms(self):
        table = self.complete(self.write(small_run()))
        rows = list(csv.DictReader(io.StringIO(self.flowloom("samples", self.run_dir))))
        self.assertEqual(len(rows), 8000)
        self.assertEqual([int(r["index"]) for r in rows], list(range(8000)))
        accepted = sum(int(r["accepted"]) for r in rows)
        self.assertAlmostEqual(table["acceptance"], accepted / 8000, places=12)
        phi2 = next(o for o in table["observables"] if o["name"] == "phi2")
        self.assertAlmostEqual(phi2["value"], sum(float(row["phi2"]) for row in rows) / 8000, places=10)
        # By hand, from the proposals: each accepted one stands for itself and the rejections after it.
        proposals = csv.DictReader(io.StringIO(self.flowloom("samples", self.run_dir, "--proposals")))
        total, value = 0.0, 0.0
        for row in proposals:
            if row["accepted"] == "1":
                value = float(row["phi2_sum"]) / 16
            total += value
        self.assertAlmostEqual(phi2["value"], total / 8000, places=10)

    def test_ctrl_c_once_says_how_to_go_on_and_the_same_command_does(self):
        run = self.write(small_run())
        self.complete(run)
        undisturbed = self.digest()
        self.run_dir = self.tmp / "interrupted"
        up = self.start("flowloom", "up", run, "--dir", self.run_dir, "--quiet")
        self.until(lambda: self.proposals() > 500, "500 proposals")
        up.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(up), 130)
        self.assertIn("flowloom up", up.stderr.read())
        self.assertFalse((self.run_dir / "coordinator.json").exists())
        self.complete(run)
        self.assertEqual(self.digest(), undisturbed)

    def test_ctrl_c_twice_stops_now(self):
        up = self.start("flowloom", "up", self.write(small_run(length=10_000_000)), "--dir", self.run_dir, "--quiet")
        self.until(lambda: self.proposals() > 500, "500 proposals")
        up.send_signal(signal.SIGINT)
        up.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(up), 130)
        self.flowloom("verify", self.run_dir)

    def test_a_complete_run_shows_its_table_again_and_a_longer_one_goes_on(self):
        run = self.write(small_run(length=4000))
        first = self.complete(run)
        self.assertEqual(self.complete(run)["head"], first["head"])
        longer = self.complete(run, "--set", "chain.length=6000")
        self.assertGreater(longer["proposals"], first["proposals"])
        self.run_dir = self.tmp / "at-once"
        self.assertEqual(self.complete(run, "--set", "chain.length=6000")["head"], longer["head"])

    def test_a_complete_chain_is_not_touched_by_what_would_have_been_another_run(self):
        run = self.write(small_run(length=2000))
        head = self.complete(run)["head"]
        longer = self.complete(run, "--set", "chain.length=3000")["head"]
        self.assertNotEqual(longer, head)
        for key in ("train.batch=32", "chain.length=2000", "chain.window=8"):
            code, out, err = self.command("flowloom", "up", run, "--dir", self.run_dir, "--json", "--set", "chain.length=3000",
                                          "--set", key)
            self.assertEqual((code, json.loads(out)["head"]), (0, longer), err)
            self.assertIn(f"not taken over: {key.split('=')[0]}: ", err)
        self.assertEqual(self.complete(run)["head"], longer)  # the plain file, which is shorter
        self.assertEqual(self.digest(), longer)
        self.assertEqual(int(self.status()["length"]), int(self.status()["proposals"]))

    def test_a_condition_that_training_does_not_reach_ends_the_run_with_a_sentence(self):
        run = self.write(small_run().replace("step = 60", "ess = 0.999"))
        code, _, err = self.command("flowloom", "up", run, "--dir", self.run_dir, "--quiet")
        self.assertEqual(code, 1)
        self.assertRegex(err, r"ESS >= 0.999")

    def test_asap_serves_versions_as_they_come_and_says_so(self):
        text = small_run().split("versions = ")[0] + 'placement = "asap"\n'
        table = self.complete(self.write(text))
        self.assertTrue(any("placed by the clock" in note for note in table["notes"]), table["notes"])
        self.flowloom("verify", self.run_dir)

    def test_until_stops_on_its_grid_and_says_so(self):
        text = small_run(length=100000) + 'until = { observable = "phi2", relative_error = 0.5 }\n'
        table = self.complete(self.write(text))
        self.assertEqual(table["proposals"], (10000 + 63) // 64 * 64)
        self.assertTrue(any("data chose the length" in note for note in table["notes"]), table["notes"])


class MeasureTest(Flowloom):
    """What takes a configuration, on those that are drawn again."""

    def rows(self, file):
        with open(file) as text:
            return list(csv.DictReader(text))

    def test_the_two_point_function_adds_up_to_the_logs_susceptibility_at_each_step(self):
        self.complete(self.write(small_run(length=4000)))  # of two versions
        out = self.flowloom("measure", self.run_dir, "--output", self.tmp / "g.csv")
        self.assertRegex(out, r"G\(2\) +correlator_2 ")
        measured = self.rows(self.tmp / "g.csv")
        samples = list(csv.DictReader(io.StringIO(self.flowloom("samples", self.run_dir))))
        self.assertEqual([row["index"] for row in measured], [row["index"] for row in samples])
        for row, sample in zip(measured, samples):
            total = float(row["correlator_0"]) + 2 * float(row["correlator_1"]) + float(row["correlator_2"])
            self.assertAlmostEqual(total, float(sample["chi2"]), places=10)
        table = json.loads(self.flowloom("measure", self.run_dir, "--burn-in", 1000, "--json"))
        self.assertEqual(table["steps"], len(samples) - 1000)
        mean = sum(float(row["correlator_1"]) for row in measured[1000:]) / table["steps"]
        self.assertAlmostEqual(table["observables"][1]["value"], mean, places=10)

    def test_what_the_runs_table_says_of_a_poor_flow_stands_under_this_one_too(self):
        poor = small_run(length=4000).replace('"affine-coupling"', '"affine-coupling"\ninit_scale = 10.0')
        table = self.complete(self.write(poor.replace("steps = 200", "steps = 0").split("versions = ")[0] +
                                         'versions = [{ from = 0, when = "trained" }]\n'))
        self.assertTrue(any(note.startswith("The flow is poor") for note in table["notes"]), table["notes"])
        measured = json.loads(self.flowloom("measure", self.run_dir, "--json"))
        self.assertEqual(measured["notes"], table["notes"])
        out = self.flowloom("measure", self.run_dir, "--burn-in", 10)
        self.assertIn("\nThe flow is poor", out)
        self.assertNotIn("Nothing is discarded", out)

    def test_a_configuration_that_is_not_the_logs_is_refused(self):
        self.complete(self.write(small_run(length=4000)))
        models = self.run_dir / "models"
        (models / "000002.safetensors").write_bytes((models / "000001.safetensors").read_bytes())
        self.assertRegex(self.refused("flowloom", "measure", self.run_dir), r"^flowloom: Proposal \d+ drawn again is another configuration")

    def test_a_theory_without_measurements_says_so(self):
        run = small_run(length=64).replace('"phi4"', '"u1"').replace("m2 = -4.0\nlambda = 8.0", "beta = 1.0")
        run = run.replace("affine-coupling", "gauge-coupling").split("versions = ")[0] + \
            'versions = [{ from = 0, when = "trained" }]\n'
        self.complete(self.write(run.replace("steps = 200", "steps = 2")))
        self.assertIn("nothing is measured", self.refused("flowloom", "measure", self.run_dir))


class ReadingTest(Flowloom):
    """Whoever reads the chain has it to its end, although the coordinator leaves when it is complete."""

    ROWS = 409600  # 20 MB on the way: more than what connections hold

    def run_of(self, rows):
        return self.write(small_run(length=rows, unit=1024).replace("from = 3000", "from = 1024"))

    def reads(self, *arguments):
        return self.start("flowloom", "samples", self.run_dir, *arguments, stdout=subprocess.PIPE)

    def rows(self, samples, slowly=0):
        """How many lines it writes, and their hash; the first pieces are taken slowly."""
        count, digest = -1, hashlib.sha256()  # a header
        while piece := self.piece(samples.stdout):
            count += piece.count(b"\n")
            digest.update(piece)
            if slowly > 0:
                slowly -= 1
                time.sleep(0.05)
        self.leaves(samples)
        return count, digest.hexdigest()

    def piece(self, stream):
        if not select.select([stream], [], [], DEADLINE)[0]:
            self.fail(f"it writes nothing for {DEADLINE} s")
        return os.read(stream.fileno(), 1 << 16)

    def test_a_slow_reader_is_waited_for(self):
        up = self.start("flowloom", "up", self.run_of(self.ROWS), "--dir", self.run_dir, "--quiet")
        self.until(lambda: self.proposals() > 0, "it samples")
        follow = self.reads("--follow")
        self.until(lambda: self.proposals() >= self.ROWS, "the chain is complete")
        count, _ = self.rows(follow, slowly=120)  # 6 s: others are waited for half as long
        self.leaves(up)
        self.assertEqual(count, self.ROWS)
        self.assertEqual(follow.stderr.read(), "")

    def test_a_reader_that_the_coordinator_did_not_wait_for_reads_the_store(self):
        coordinator = self.coordinator(self.run_of(self.ROWS), "--stay")
        self.server(), self.worker()
        self.until(lambda: self.proposals() > 0, "it samples")
        follow = self.reads("--follow")
        self.until(lambda: self.proposals() >= self.ROWS, "the chain is complete")
        other = self.reads()
        time.sleep(0.5)  # both have filled their pipes
        coordinator.terminate()
        self.leaves(coordinator)
        rows = self.rows(follow)
        self.assertEqual(rows[0], self.ROWS)
        self.assertEqual(self.rows(other), rows)


class LookingTest(Flowloom):
    def test_status_samples_models_and_digest_answer_alike_live_and_offline(self):
        run = self.write(small_run(length=3000))
        coordinator = self.coordinator(run, "--stay")
        server, worker = self.server(), self.worker()
        self.until(lambda: self.proposals() >= 3008, "the chain is complete")
        self.ended(server)
        self.ended(worker)
        live = {what: self.flowloom(what, self.run_dir) for what in ("samples", "digest", "models")}
        coordinator.terminate()
        self.leaves(coordinator)
        for what, answer in live.items():
            self.assertEqual(self.flowloom(what, self.run_dir), answer, what)
        self.assertEqual(int(self.status()["proposals"]), 3008)

    def test_samples_start_anywhere_and_lines_are_json_if_asked(self):
        self.complete(self.write(small_run(length=1000)))
        lines = self.flowloom("samples", self.run_dir, "--from", 130, "--count", 5, "--format", "jsonl").splitlines()
        self.assertEqual([json.loads(line)["index"] for line in lines], [130, 131, 132, 133, 134])

    def test_check_explains_the_run(self):
        out = self.flowloom("check", self.write(small_run()))
        for word in ("identity", "parameters", "hidden", "8000", "64"):
            self.assertIn(word, out)

class ReferenceTest(Flowloom):
    def test_ctrl_c_prints_what_there_is(self):
        file = self.tmp / "sweeps.csv"
        child = self.start("flowloom", "reference", self.write(small_run()), "--sweeps", 10**9, "--thermalise", 100,
                           "--output", file, "--json", stdout=subprocess.PIPE)
        self.until(lambda: file.exists() and file.stat().st_size > 100000, "some sweeps")
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(child), 130)
        table = json.loads(child.stdout.read())
        self.assertFalse(table["complete"])
        phi2 = [float(row["phi2"]) for row in csv.DictReader(io.StringIO(file.read_text()))]
        self.assertEqual(table["sweeps"], len(phi2))
        measured = next(o for o in table["observables"] if o["name"] == "phi2")
        self.assertAlmostEqual(measured["value"], sum(phi2) / len(phi2), places=12)

    def test_ctrl_c_before_the_first_measurement_says_so(self):
        file = self.tmp / "sweeps.csv"
        child = self.start("flowloom", "reference", self.write(small_run()), "--thermalise", 10**9, "--output", file)
        self.until(file.exists, "it thermalises")
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(child), 130)
        self.assertIn("before the first measurement", child.stderr.read())


if __name__ == "__main__":
    sys.exit(unittest.main())
