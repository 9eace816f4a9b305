"""The main job of scripts/demo as it stands, twice, with other workers: the same chain, a trained flow, known numbers.

False-alarm rate of the numbers: as in known_numbers_test.py, 2.5e-4."""

import math
import sys
import unittest

import harness
from known_numbers_test import EXAMPLE, KNOWN

harness.DEADLINE = 1500  # seconds for one run; about 2 minutes on two idle cores


class MainJobTest(harness.Flowloom):
    def test_twice_it_gives_the_same_chain_and_the_known_numbers(self):
        table = self.complete(EXAMPLE)
        versions = table["models"]["versions"]
        self.assertEqual([v["origin"] for v in versions], ["ESS >= 0.3", "trained"])
        self.assertGreaterEqual(versions[1]["ess"], 0.4)
        self.assertEqual([s["from"] for s in table["models"]["switches"]], [0, 100352])
        self.assertGreaterEqual(table["proposals"], 200000)
        self.flowloom("verify", self.run_dir)
        for observable in table["observables"]:
            if observable["name"] not in KNOWN:
                continue
            value, error = KNOWN[observable["name"]]
            with self.subTest(observable["name"]):
                self.assertLess(abs(observable["value"] - value), 4 * math.hypot(error, observable["error"]))

        first = self.digest()
        self.run_dir = self.tmp / "again"
        self.complete(EXAMPLE, "--workers", 3)
        self.assertEqual(self.digest(), first)


if __name__ == "__main__":
    sys.exit(unittest.main())
