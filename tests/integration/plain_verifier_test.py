"""A log proves itself: to `flowloom verify`, and to a verifier in plain Python that was written from docs/log-format.md."""

import json
import re
import shutil
import sqlite3
import sys
import unittest

try:
    import plain_verifier
except ImportError:
    raise unittest.SkipTest("this needs Debian's python3-numpy, with Debian's own python3")

from harness import ROOT, Flowloom, small_run

UNIT = 64
SWITCH, REWEIGH = 49, 50  # records: the first switch, units 0 … 46, these two, units 47 …
RENUMBER = "UPDATE records SET sequence = -sequence WHERE sequence < 0;"
ROW = "kind, first_index, version, count, flags, data, link, worker, second"


class PlainVerifierTest(Flowloom):
    def setUp(self):
        super().setUp()
        self.complete(self.write(small_run()), "--workers", 2)
        self.file = self.run_dir / "chain.sqlite"
        self.whole = self.tmp / "whole.sqlite"
        shutil.copy(self.file, self.whole)

    def damaged(self, sql="", damage=None, relink=False):
        """Writes a changed copy; with `relink` every record gets the link that follows."""
        shutil.copy(self.whole, self.file)
        database = sqlite3.connect(self.file)
        database.executescript(sql)
        if damage:
            damage(database)
        if relink:
            link = database.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0]
            for row in list(plain_verifier.rows_of(database)):
                link = plain_verifier.next_link(link, row)
                database.execute("UPDATE records SET link = ? WHERE sequence = ?", (link, row["sequence"]))
        database.commit()
        database.close()

    def plain(self):
        """What the plain verifier finds wrong, or the verifier."""
        try:
            verifier = plain_verifier.Verifier(self.file)
            verifier.verify()
            return verifier
        except plain_verifier.Wrong as wrong:
            return str(wrong)

    def ours(self):
        _, out, err = self.command("flowloom", "verify", self.run_dir, "--json")
        self.assertTrue(out, err)
        return json.loads(out)

    def assert_both_name(self, what):
        report = self.ours()
        self.assertFalse(report["good"])
        for sentence in (report["sentence"], self.plain()):
            self.assertRegex(str(sentence), rf"^{what}\b")

    def assert_both_find_good(self):
        report, plain = self.ours(), self.plain()
        self.assertTrue(report["good"], report["sentence"])
        self.assertNotIsInstance(plain, str)
        self.assertEqual((plain.head.hex(), plain.frontier, plain.records),
                         (report["head"], report["proposals"], report["records"]))
        self.assertEqual(plain.head.hex(), self.digest())
        return plain

    def test_a_good_log(self):
        plain = self.assert_both_find_good()
        self.assertEqual(len(plain.switches), 2)

    def test_every_damage_is_found_at_the_same_record(self):
        drop = "DELETE FROM records WHERE sequence = 20;"
        close = drop + "UPDATE records SET sequence = 1 - sequence WHERE sequence > 20;" + RENUMBER
        swap = ("UPDATE records SET sequence = CASE sequence WHEN 20 THEN -21 ELSE -20 END WHERE sequence IN (20, 21);" + RENUMBER)
        insert = ("UPDATE records SET sequence = -1 - sequence WHERE sequence > 20;" + RENUMBER +
                  f"INSERT INTO records SELECT 21, {ROW} FROM records WHERE sequence = 20")
        without_reweigh = (f"DELETE FROM records WHERE sequence = {REWEIGH};"
                           f"UPDATE records SET sequence = 1 - sequence WHERE sequence > {REWEIGH};" + RENUMBER)
        second_switch = (f"UPDATE records SET sequence = -2 - sequence WHERE sequence > {REWEIGH};" + RENUMBER +
                         f"INSERT INTO records SELECT sequence + 2, {ROW} FROM records WHERE sequence IN ({SWITCH}, {REWEIGH})")

        def flip(database):
            flags = bytearray(database.execute("SELECT flags FROM records WHERE sequence = 20").fetchone()[0])
            flags[3] ^= 4
            database.execute("UPDATE records SET flags = ? WHERE sequence = 20", (bytes(flags),))

        def digit(database):
            data = bytearray(database.execute("SELECT data FROM records WHERE sequence = 20").fetchone()[0])
            data[5 * 8] ^= 1  # the last of log_p of proposal 5
            database.execute("UPDATE records SET data = ? WHERE sequence = 20", (bytes(data),))

        def change(column, value, record=20):
            return f"UPDATE records SET {column} = {value} WHERE sequence = {record}"

        for name, record, arguments in (
            ("a changed digit", 20, {"damage": digit}),
            ("a dropped record", 21, {"sql": drop}),
            ("a dropped record, the gap closed", 20, {"sql": close}),
            ("a dropped record, relinked", 20, {"sql": close, "relink": True}),
            ("swapped records", 20, {"sql": swap}),
            ("swapped records, relinked", 20, {"sql": swap, "relink": True}),
            ("an inserted record", 21, {"sql": insert}),
            ("an inserted record, relinked", 21, {"sql": insert, "relink": True}),
            ("a flipped flag", 20, {"damage": flip}),
            ("a flipped flag, relinked", 20, {"damage": flip, "relink": True}),
            ("a changed link", 20, {"sql": change("link", "zeroblob(32)")}),
            ("another version", 20, {"sql": change("version", 2)}),
            ("a blob for a number", 20, {"sql": change("first_index", "CAST(first_index AS BLOB)")}),
            ("a blob for a kind", 20, {"sql": change("kind", "CAST(kind AS BLOB)")}),
            ("a shortened unit, relinked", 20, {"sql": change("data", "substr(data, 9)"), "relink": True}),
            ("another checkpoint", SWITCH, {"sql": change("data", "zeroblob(32)", SWITCH)}),
            ("a switch moved, relinked", SWITCH, {"sql": change("first_index", "first_index + 64", SWITCH), "relink": True}),
            ("a dropped reweigh, relinked", REWEIGH, {"sql": without_reweigh, "relink": True}),
            ("a reweigh of another state, relinked", REWEIGH,
             {"sql": change("first_index", "first_index - 1", REWEIGH), "relink": True}),
            ("a second switch, relinked", REWEIGH + 1, {"sql": second_switch, "relink": True}),
        ):
            with self.subTest(name):
                self.damaged(**arguments)
                self.assert_both_name(f"Record {record}")
        for table in ("switches", "models"):
            with self.subTest(f"the table of {table}"):
                self.damaged(f"UPDATE {table} SET sha256 = zeroblob(32) WHERE version = 2")
                self.assert_both_name("The table of switches" if table == "switches" else "(The table of models|Version 2)")

    def test_a_log_with_rewinds(self):
        def rewind(database, to, again=None):
            """Appends a rewind to unit `to`, then the records that lay between."""
            last = database.execute("SELECT max(sequence) FROM records").fetchone()[0]
            text = f"back to unit {to}".encode()
            database.execute(f"INSERT INTO records(sequence, {ROW}) VALUES(?, 'rewind', ?, 0, 0, x'', ?, x'', 0, 0)",
                             (last + 1, UNIT * to, text))
            kept = database.execute("SELECT ifnull(max(sequence), 0) FROM records WHERE kind = 'unit' AND first_index = ? AND "
                                    "sequence <= ?", (UNIT * (to - 1), last)).fetchone()[0]
            database.execute(f"INSERT INTO records SELECT sequence + ?, {ROW} FROM records WHERE sequence > ? AND sequence <= ? "
                             "ORDER BY sequence LIMIT ?", (last + 1 - kept, kept, last, -1 if again is None else again))

        def flip_first_flag(database):
            database.execute("UPDATE records SET flags = zeroblob(length(flags)) WHERE sequence = 126")

        length = self.plain().frontier
        units = length // UNIT
        # What a rewind repeats may have rewinds in it: 65 units; 95 and 65; 78 and 65.
        for name, places, left_behind in (("the last units", [units - 3], 3), ("before the switch", [30], units - 30),
                                          ("at the switch", [47], units - 47), ("to the beginning", [0], units),
                                          ("again and again", [60, 30, 47], 5 * units - 60 - 30 - 60 - 47 - 60)):
            with self.subTest(name):
                self.damaged(damage=lambda database: [rewind(database, to) for to in places], relink=True)
                plain = self.assert_both_find_good()
                self.assertEqual(plain.frontier, length)
                self.assertEqual(plain.left_behind, left_behind * UNIT)
        with self.subTest("a shorter chain"):
            self.damaged(damage=lambda database: rewind(database, 30, again=0), relink=True)
            self.assertEqual(self.assert_both_find_good().frontier, 30 * UNIT)
        last = units + 3  # records
        for name, damage, record in (
            ("beyond the frontier", lambda database: rewind(database, units + 1, again=0), last + 1),
            ("to what was left behind", lambda database: [rewind(database, 30, again=5), rewind(database, 40, again=0)], last + 7),
            ("at the switch without its reweigh again", lambda database: rewind(database, 47, again=1), None),
            ("without the switch again", lambda database: (rewind(database, 47), database.executescript(
                f"DELETE FROM records WHERE sequence IN ({last + 2}, {last + 3});"
                f"UPDATE records SET sequence = 2 - sequence WHERE sequence > {last + 2};" + RENUMBER)), last + 2),
            ("a false decision in what was left behind",
             lambda database: (flip_first_flag(database), rewind(database, 30, again=0)), 126),
        ):
            with self.subTest(name):
                self.damaged(damage=damage, relink=True)
                self.assert_both_name(f"Record {record}" if record else "The log ends with a switch")


class WorkedExampleTest(Flowloom):
    def test_its_figures_are_the_codes(self):
        text = (ROOT / "docs/log-format.md").read_text()
        run, figures = re.findall(r"```\n(.*?)\n```", text.split("## A worked example")[1], re.DOTALL)
        self.complete(self.write(run + "\n"))
        self.assertEqual(plain_verifier.worked_example(self.run_dir / "chain.sqlite"), figures,
                         "docs/log-format.md must show what plain_verifier.worked_example returns")


class OperatorTest(Flowloom):
    def test_a_version_that_an_operator_put_in_place_is_of_the_log_and_said(self):
        run = self.write(small_run(length=64_000_000).replace("from = 3000", "from = 60000032"))
        coordinator = self.coordinator(run)
        self.server("--to-end")
        self.worker()
        verified = lambda: [model["verified"] for model in json.loads(self.flowloom("models", self.run_dir, "--json"))["versions"]]
        self.until(lambda: verified() == [True, True] and self.proposals() > 0, "two versions are there")
        said = self.flowloom("models", "activate", self.run_dir, "--version", 2, "--reason", "it is better")
        start = int(re.match(r"Version 2 serves from proposal (\d+) on", said)[1])
        self.assertIn("draws under version 2 already", self.refused("flowloom", "models", "activate", self.run_dir, "--version", 2))
        self.refused("flowloom", "models", "activate", self.run_dir, "--version", 7)
        self.until(lambda: self.proposals() > start + UNIT, "it goes on under the other version")
        self.assertIn("by the operator", self.flowloom("models", self.run_dir))
        self.flowloom("drain", self.run_dir)
        self.leaves(coordinator)
        self.assertIn("(it is better). Exact only if that decision did not look at the chain", self.flowloom("status", self.run_dir))
        self.flowloom("verify", self.run_dir)
        plain_verifier.Verifier(self.run_dir / "chain.sqlite").verify()
        self.flowloom("rewind", self.run_dir, "--to", 1)
        coordinator = self.coordinator()
        self.worker()
        self.until(lambda: self.proposals() > start + UNIT, "the decision stands after a rewind")
        self.flowloom("drain", self.run_dir)
        self.leaves(coordinator)
        plain_verifier.Verifier(self.run_dir / "chain.sqlite").verify()


if __name__ == "__main__":
    sys.exit(unittest.main())
