"""Training as a user gives it: to its end, killed on the way, carried over to another run, taught by samples."""

import csv
import io
import json
import random
import signal
import struct
import sys
import time
import unittest

from harness import Flowloom, small_run

# Every part of a training's state in use.
EVERYTHING = """
gradient = "path"
optimiser = "amsgrad"
average = 0.9
milestones = { plateau = 3, progress = 1.0, rate_factor = 0.5, batch_factor = 2 }
record_every = 5
"""


def with_train(text, more):
    return text.replace("[train]\n", "[train]\n" + more)


class TrainingTest(Flowloom):
    def trained(self, run, *arguments):
        """`flowloom train` to its end; returns its result."""
        return json.loads(self.flowloom("train", run, "--dir", self.run_dir, "--quiet", "--json", *arguments))

    def test_what_only_libtorch_has_takes_libtorch(self):
        text = small_run(length=2000).replace('engine = "lanes"\n', "").replace("hidden = [4]", 'hidden = [4]\nactivation = "gelu"')
        run = self.write(text)
        self.assertRegex(self.flowloom("check", run), r'# engine +torch: the engine "lanes" has no activation gelu\n')
        self.assertRegex(self.refused("flowloom", "check", run, "--set", "run.engine=lanes"),
                         r'the engine "lanes" has no activation gelu; leave the choice to "auto", or say "torch".$')
        table = self.complete(run)
        self.assertTrue(table["numerics"].startswith("torch"), table["numerics"])
        self.assertIn("has no activation gelu", (self.run_dir / "logs/coordinator.log").read_text())

    def versions(self):
        return [version["sha256"] for version in json.loads(self.flowloom("models", self.run_dir, "--json"))["versions"]]

    def record(self):
        """The record without its clock."""
        rows = csv.DictReader(io.StringIO(self.flowloom("training", self.run_dir)))
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]

    def test_a_trainer_killed_at_any_moment_comes_to_the_same_weights_and_record(self):
        run = self.write(with_train(small_run(), EVERYTHING))
        result = self.trained(run)
        self.assertEqual(result["steps"], 200)
        undisturbed, record = self.versions(), self.record()
        self.assertEqual([int(row["step"]) for row in record], list(range(5, 201, 5)))
        self.assertGreater(int(record[-1]["batch"]), 64, "the batch has grown")

        self.run_dir = self.tmp / "killed"
        self.coordinator(run, "--stay")
        chance = random.Random(1)
        for _ in range(8):
            server = self.server("--to-end", "--save-every", "0.05", "--threads", str(chance.choice([1, 2, 3])))
            time.sleep(chance.uniform(0.1, 0.9))
            server.send_signal(signal.SIGKILL)
            server.wait()
        self.leaves(self.server("--to-end"))
        self.assertEqual(self.versions(), undisturbed)
        self.assertEqual(self.record(), record)

    def test_a_chain_goes_on_from_a_training_and_is_that_of_one_command(self):
        run = self.write(small_run())
        self.trained(run)
        self.complete(run)
        in_two = self.digest()
        self.run_dir = self.tmp / "at-once"
        self.complete(run)
        self.assertEqual(self.digest(), in_two)

    def test_another_volume_and_coupling_start_from_a_trained_run(self):
        run = self.write(with_train(small_run(), 'gradient = "path"\n'))
        self.trained(run)
        self.run_dir.rename(self.tmp / "trained")
        steps = ["--set", "theory.lattice=[6, 4]", "--set", "theory.lambda=7.5", "--set", "train.stop={steps=60}"]
        carried = self.write(with_train(run.read_text(), 'start = { from = "trained", optimiser = "keep" }\n'), "carried.toml")
        losses = []  # after ten steps
        for name, file in (("run", carried), ("scratch", run)):
            self.run_dir = self.tmp / name
            self.trained(file, *steps)
            losses.append(float(self.record()[0]["loss"]))
        self.assertLess(losses[0], losses[1] - 1, "carried over, from scratch")
        code, _, sentence = self.command("flowloom", "train", carried, "--dir", self.tmp / "other", "--quiet", "--set",
                                         "flow.layers=6")
        self.assertEqual(code, 2)
        self.assertIn("'trained' has flow.layers = 4, this run 6", sentence)
        self.assertFalse((self.tmp / "other").exists(), "refused before anything is made")
        self.assertEqual(self.command("flowloom", "check", carried, "--set", "flow.layers=6")[::2], (2, sentence))

    def test_a_study_is_interrupted_goes_on_and_tells_what_failed(self):
        self.write(small_run())
        study = self.write("""
[study]
name = "both"
run = "run.toml"
set = ["train.stop={ steps = 60 }", "chain.versions=[{ from = 0, when = \\"trained\\" }]"]
cases = [{ name = "good", set = [] },
         { name = "bad", set = ["train.start={ from = \\"nowhere\\", optimiser = \\"drop\\" }"] }]
sequence = { key = "theory.lambda", values = [8.0, 7.0] }
""", "study.toml")
        directory = self.tmp / "studies" / "both"
        first = self.start("flowloom", "study", study)
        self.until(lambda: (directory / "good,lambda=8.0" / "trained").exists(), "one training")
        first.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(first), 130)
        before = (directory / "good,lambda=8.0" / "train" / "state.safetensors").stat().st_mtime_ns
        code, out, err = self.command("flowloom", "study", study)
        self.assertEqual(code, 1)
        self.assertIn("bad,lambda=8.0: [train] start: 'nowhere'", err)
        self.assertIn("bad,lambda=7.0: was not begun", err)
        self.assertEqual((directory / "good,lambda=8.0" / "train" / "state.safetensors").stat().st_mtime_ns, before)
        rows = list(csv.DictReader(io.StringIO((directory / "table.csv").read_text())))
        self.assertEqual([row["training"] for row in rows],
                         ["good,lambda=8.0", "good,lambda=7.0", "bad,lambda=8.0", "bad,lambda=7.0"])
        self.assertTrue(all(0 < float(row["ess"]) <= 1 and row["steps"] == "60" for row in rows[:2]))
        self.assertTrue(all(row["ess"] == "" for row in rows[2:]), "what failed has no figures")
        for name in ("plot.svg", "plot.png"):
            self.assertGreater((directory / name).stat().st_size, 1000, name)
        # Trained longer, the first weights are not those that the second training started from.
        study.write_text(study.read_text().replace("steps = 60", "steps = 80"))
        code, out, err = self.command("flowloom", "study", study)
        self.assertEqual(code, 1)
        self.assertIn("good,lambda=7.0: the training that it starts from has changed since it was begun", err)
        rows = list(csv.DictReader(io.StringIO((directory / "table.csv").read_text())))
        self.assertEqual([row["steps"] for row in rows], ["80", "", "", ""])

    def test_samples_of_the_target_are_measured_and_copied(self):
        values = [random.Random(2).gauss(0, 0.35) for _ in range(50 * 16)]
        header = json.dumps({"fields": {"dtype": "F64", "shape": [50, 4, 4], "data_offsets": [0, 8 * len(values)]}}).encode()
        samples = self.tmp / "samples.safetensors"
        samples.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack(f"<{len(values)}d", *values))
        run = self.write(with_train(small_run(), 'target = { samples = "samples.safetensors", share = 0.25 }\n'))
        first = self.trained(run)
        self.assertGreater(first["ess_from_target"], 0)
        self.assertTrue(all(0 < float(row["ess_from_target"]) <= 1 for row in self.record() if row["ess"] != "nan"))
        samples.unlink()  # the state has its own copy
        self.assertEqual(self.trained(run)["ess_from_target"], first["ess_from_target"])


if __name__ == "__main__":
    sys.exit(unittest.main())
