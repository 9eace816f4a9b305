"""The main job of scripts/demo as it stands, twice, with other workers: the same chain, a trained flow, known numbers (8x8,
m2 = -4, lambda = 8; a separate HMC of 1e5 to 4e5 trajectories).

False-alarm rate: five figures, each allowed 4 combined standard deviations: about 5 * 6.3e-5 = 3.2e-4; and one
identity, 6e-5."""

import math
import pathlib
import re
import sys
import unittest

from harness import Flowloom

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "phi4-8x8.toml"
KNOWN = {"chi2": (0.7451, 0.0025), "abs_m": (0.08704, 0.00016), "phi2": (0.14347, 0.00005), "action": (10.317, 0.013)}


class MainJobTest(Flowloom):
    def test_twice_it_gives_the_same_chain_and_the_known_numbers(self):
        table = self.complete(EXAMPLE)
        versions = table["models"]["versions"]
        self.assertEqual([v["origin"] for v in versions], ["ESS >= 0.7", "trained"])
        self.assertGreaterEqual(versions[1]["ess"], 0.9)
        self.assertEqual([s["from"] for s in table["models"]["switches"]], [0, 100352])
        self.assertGreaterEqual(table["proposals"], 200000)
        self.flowloom("verify", self.run_dir)
        self.check_observables({o["name"]: o for o in table["observables"]})
        self.check_sample_program()

        first = self.digest()
        self.run_dir = self.tmp / "again"
        self.complete(EXAMPLE, "--workers", 3)
        self.assertEqual(self.digest(), first)
        self.assertIn(f"digest       {first}\n", (ROOT / "README.md").read_text(), "what the README promises")

    def check_observables(self, measured):
        for name, (value, error) in KNOWN.items():
            got = measured[name]
            sigma = math.hypot(error, got["error"])
            with self.subTest(name):
                self.assertLess(abs(got["value"] - value), 4 * sigma, f"{got} against {value}({error})")
                self.assertLess(got["error"], 0.1 * abs(value), "an error this large would agree with anything")
        # Schwinger-Dyson, exact: <phi dS/dphi> = 1 per site, which for this action is 2 <S> + 2 lambda V <phi^4> = V.
        # The errors are added, not in quadrature: a false alarm has a probability below 6e-5.
        left = (2 * measured["action"]["value"] + 2 * 8.0 * 64 * measured["phi4"]["value"]) / 64
        error = (2 * measured["action"]["error"] + 2 * 8.0 * 64 * measured["phi4"]["error"]) / 64
        self.assertLess(abs(left - 1), 4 * error)
        self.assertLess(error, 0.01)

    def check_sample_program(self):
        """The program of docs/lanes.md, by reweighting 1e5 draws of its own."""
        sample = self.command("sample", self.run_dir / "run.toml", self.run_dir / "models" / "000002.safetensors")[1]
        found = float(re.fullmatch(r"<phi\^2> = (\d+\.\d+)\n", sample).group(1))
        value, error = KNOWN["phi2"]
        self.assertLess(abs(found - value), 4 * math.hypot(error, 1.5e-4) + 5e-5, f"{found}, printed with four decimals")


class DocumentsTest(unittest.TestCase):
    def test_the_page_on_lanes_shows_the_program(self):
        self.assertIn("```cpp\n" + (ROOT / "examples/sample.cc").read_text() + "```", (ROOT / "docs/lanes.md").read_text())


if __name__ == "__main__":
    sys.exit(unittest.main())
