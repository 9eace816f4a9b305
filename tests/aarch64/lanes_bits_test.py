"""The lane engine's bits on 64-bit ARM, by an emulator, are those of this machine (tests/aarch64/lanes_bits.cc).

FLOWLOOM_BITS and FLOWLOOM_BITS_AARCH64 are the commands of the two programs.
"""

import itertools
import os
import shlex
import subprocess
import sys
import unittest


def lines(variable):
    """What the program prints: the instruction sets that it found to agree, and the lines of bits."""
    done = subprocess.run(shlex.split(os.environ[variable]), capture_output=True, text=True, timeout=100)
    if done.returncode != 0:
        raise AssertionError(f"{variable}: exit code {done.returncode}; if 1, two instruction sets differ:\n{done.stderr}")
    sets, *bits = done.stdout.splitlines()
    return sets.split(":")[1].split(), bits


def first_difference(here, there):
    """The first lines that differ, or nothing."""
    for ours, theirs in itertools.zip_longest(here, there, fillvalue="nothing"):
        if ours != theirs:
            return f"here:           {ours}\n64-bit ARM:     {theirs}"
    return ""


class LanesBitsTest(unittest.TestCase):
    def test_the_bits_on_arm_are_those_of_this_machine(self):
        here_sets, here = lines("FLOWLOOM_BITS")
        arm_sets, arm = lines("FLOWLOOM_BITS_AARCH64")
        self.assertEqual(arm_sets, ["neon", "portable"])
        self.assertEqual(here_sets[-1], "portable")
        self.assertGreater(len(here), 90)
        self.assertEqual(first_difference(here, arm), "")

    def test_numbers_infinities_and_nans_are_among_what_is_compared(self):
        _, here = lines("FLOWLOOM_BITS")
        found = {word for line in here if "overflowing" in line for word in line.split("(")[1].rstrip(")").split()}
        self.assertLess({"7ff0000000000000", "fff0000000000000", "7ff8000000000000"}, found)
        self.assertTrue(any(int(word[:3], 16) & 0x7FF != 0x7FF for word in found), "a finite number")

    def test_the_first_difference_is_named(self):
        self.assertEqual(first_difference(["exp: 0", "log: 1"], ["exp: 0", "log: 1"]), "")
        self.assertIn("log: 2", first_difference(["exp: 0", "log: 1", "x"], ["exp: 0", "log: 2", "y"]))
        self.assertIn("nothing", first_difference(["exp: 0", "log: 1"], ["exp: 0"]))


if __name__ == "__main__":
    sys.exit(unittest.main())
