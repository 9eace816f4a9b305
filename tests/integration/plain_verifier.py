"""A verifier of logs by somebody else: written from docs/log-format.md, with nothing of Flowloom's.

    /usr/bin/python3 tests/integration/plain_verifier.py RUN/chain.sqlite

Prints the digest and the number of proposals, or one sentence that names the first wrong record.
"""

import contextlib
import hashlib
import json
import sqlite3
import struct
import sys

import numpy

COLUMNS = {"sequence": int, "kind": str, "first_index": int, "version": int, "count": int, "flags": bytes, "data": bytes,
           "link": bytes, "worker": int, "second": int}
UNDECIDED = 1e-12


class Wrong(Exception):
    pass


def sha256(data):
    return hashlib.sha256(data).digest()


def philox(key, index, draw, purpose):
    """Philox4x32-10 of many 64-bit indices: four arrays of words."""
    mask = numpy.uint64(0xFFFFFFFF)
    half = numpy.uint64(32)
    index = numpy.asarray(index, numpy.uint64)
    c0, c1 = index & mask, index >> half
    c2, c3 = numpy.full_like(index, draw), numpy.full_like(index, purpose)
    k0, k1 = struct.unpack("<2I", key)
    for _ in range(10):
        a, b = numpy.uint64(0xD2511F53) * c0, numpy.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (b >> half) ^ c1 ^ numpy.uint64(k0), b & mask, (a >> half) ^ c3 ^ numpy.uint64(k1), a & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def accept_uniforms(key, first, count):
    """u_i of proposals first, first + 1, …"""
    w0, w1, _, _ = philox(key, numpy.arange(first, first + count, dtype=numpy.uint64), 0, 1)
    return ((((w1 << numpy.uint64(32)) + w0) >> numpy.uint64(11)) + numpy.uint64(1)).astype(float) * 2.0**-53


def canonical(kind, first_index, count, flags, data):
    if kind == "unit":
        fields = len(data) // (8 * count) if count else 2
        return b"U" + struct.pack("<QII", first_index, count, fields) + data + flags
    if kind == "switch":
        return b"S" + struct.pack("<Q", first_index) + data + flags
    if kind == "reweigh":
        return b"R" + struct.pack("<Q", first_index) + data
    return (b"E" if kind == "event" else b"B") + struct.pack("<QI", first_index, len(data)) + data


def next_link(link, row):
    return sha256(link + sha256(canonical(row["kind"], row["first_index"], row["count"], row["flags"], row["data"])))


def rows_of(database):
    for values in database.execute(f"SELECT {', '.join(COLUMNS)} FROM records ORDER BY sequence"):
        yield dict(zip(COLUMNS, values))


class Verifier:
    def __init__(self, file):
        self.database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        self.database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        meta = dict(self.database.execute("SELECT key, value FROM meta"))
        self.head = sha256(meta["identity_text"].encode())
        if self.head != meta["identity"]:
            raise Wrong("The identity is not the hash of its text.")
        identity = json.loads(meta["identity_text"])
        self.unit_size = identity["unit"]
        self.key = sha256(identity["noise"].encode())[:8]
        self.fields = 2 + self.database.execute("SELECT count(*) FROM columns").fetchone()[0]
        self.frontier = self.left_behind = self.records = 0
        self.current = None  # [index, log_p, log_q]
        self.switches = []  # (from, version, checkpoint, placement)
        self.unweighed = False  # after a switch, until its reweigh
        self.marks = {0: (None, 0)}  # frontier: current state and number of switches, right after that unit

    def verify(self):
        with contextlib.closing(self.database):
            for row in rows_of(self.database):
                self.records += 1
                try:
                    self.record(row)
                except Wrong as wrong:
                    raise Wrong(f"Record {row['sequence']}: {wrong}.") from None
            if self.unweighed:
                raise Wrong("The log ends with a switch that has no reweigh.")
            self.tables()

    def record(self, row):
        if row["sequence"] != self.records:
            raise Wrong(f"the record before has number {self.records - 1}")
        for name, kind in COLUMNS.items():
            if type(row[name]) is not kind or (name in ("version", "count") and not 0 <= row[name] < 2**32):
                raise Wrong(f"its {name} is not what that column holds")
        if row["first_index"] < 0:
            raise Wrong("its index is negative")
        if row["kind"] not in ("unit", "switch", "reweigh", "event", "rewind"):
            raise Wrong("there is no such kind")
        self.head = next_link(self.head, row)
        if row["link"] != self.head:
            raise Wrong("its link does not follow from it and the record before")
        if row["kind"] != "unit" and (row["count"] or (row["flags"] and row["kind"] != "switch")):
            raise Wrong("it has what only a unit has")
        if self.unweighed and row["kind"] != "reweigh":
            raise Wrong("the switch before it has no reweigh")
        getattr(self, row["kind"])(row)

    def unit(self, row):
        size = self.unit_size
        if row["first_index"] != self.frontier or row["count"] != size:
            raise Wrong("it is not the next unit")
        flags = numpy.unpackbits(numpy.frombuffer(row["flags"], numpy.uint8), bitorder="little")
        if len(row["data"]) != 8 * size * self.fields or len(row["flags"]) != (size + 7) // 8 or flags[size:].any():
            raise Wrong("it has not the numbers of a unit")
        if not self.switches or row["version"] != self.switches[-1][1]:
            raise Wrong("its version is not the one that serves")
        log_p, log_q = numpy.frombuffer(row["data"], "<f8").reshape(self.fields, size)[:2]
        with numpy.errstate(all="ignore"):
            log_w = log_p - log_q
        eligible = (log_p < numpy.inf) & (abs(log_q) < numpy.inf) & (log_w < numpy.inf) & (log_p > -numpy.inf)
        log_u = numpy.log(accept_uniforms(self.key, self.frontier, size))
        for k in range(size):
            accepted = bool(flags[k])
            if not eligible[k] or self.current is None:
                right = accepted == bool(eligible[k])
            else:
                margin = (log_w[k] - (self.current[1] - self.current[2])) - log_u[k]
                right = accepted == (margin > 0) or abs(margin) < UNDECIDED
            if not right:
                raise Wrong(f"the decision on proposal {self.frontier + k} contradicts its numbers")
            if accepted:
                self.current = [self.frontier + k, log_p[k], log_q[k]]
        self.frontier += size
        self.marks[self.frontier] = (self.current and list(self.current), len(self.switches))

    def switch(self, row):
        if row["first_index"] != self.frontier or row["version"] == 0:
            raise Wrong("it is not a switch at the frontier to a version")
        if self.switches and self.switches[-1][0] == self.frontier:
            raise Wrong("there is a switch at this proposal already")
        if len(row["data"]) != 32 or row["flags"] not in (b"\0", b"\1", b"\2"):
            raise Wrong("it is a damaged switch")
        self.switches.append((self.frontier, row["version"], row["data"], row["flags"][0]))
        self.unweighed = self.current is not None

    def reweigh(self, row):
        if not self.unweighed or row["first_index"] != self.current[0] or row["version"] != self.switches[-1][1]:
            raise Wrong("no switch before it asks for this reweigh")
        if len(row["data"]) != 8 or not numpy.isfinite(struct.unpack("<d", row["data"])[0]):
            raise Wrong("it is not one finite number")
        self.current[2] = struct.unpack("<d", row["data"])[0]
        self.unweighed = False

    def event(self, row):
        if row["first_index"] != self.frontier:
            raise Wrong("it does not stand at its proposal")

    def rewind(self, row):
        to = row["first_index"]
        if to not in self.marks:
            raise Wrong("it leads to no place where a unit of the chain ends")
        self.left_behind += self.frontier - to
        self.frontier = to
        self.marks = {at: mark for at, mark in self.marks.items() if at <= to}
        current, switches = self.marks[to]
        self.current = current and list(current)
        del self.switches[switches:]

    def tables(self):
        table = self.database.execute("SELECT from_index, version, sha256, placement FROM switches ORDER BY from_index").fetchall()
        models = dict(self.database.execute("SELECT version, sha256 FROM models"))
        ahead = [row for row in table[len(self.switches):] if row[0] < self.frontier]
        if table[:len(self.switches)] != self.switches or ahead:
            raise Wrong("The table of switches is not what the log says.")
        for _, version, checkpoint, _ in self.switches:
            if models.get(version) != checkpoint:
                raise Wrong(f"The table of models has another checkpoint for version {version}.")


def worked_example(file):
    """The example of docs/log-format.md: the first two records byte by byte, and the decision on proposal 1."""
    verifier = Verifier(file)
    link = verifier.head
    lines = [f"link(0)      {link.hex()}"]
    for row in list(rows_of(verifier.database))[:2]:
        kind, first, count, flags, data = (row[name] for name in ("kind", "first_index", "count", "flags", "data"))
        whole = canonical(kind, first, count, flags, data)
        head = whole[:len(whole) - len(data) - len(flags)]
        link = next_link(link, row)
        lines += ["", f"record {row['sequence']}     {kind}, first_index {first}, version {row['version']}, count {count}",
                  f"canonical    {head.hex()}"]
        lines += [f"             {data[at:at + 32].hex()}" for at in range(0, len(data), 32)]
        lines += [f"             {flags.hex()}", f"SHA-256      {sha256(whole).hex()}", f"link({row['sequence']})      {link.hex()}"]
    log_p, log_q = numpy.frombuffer(data, "<f8").reshape(verifier.fields, count)[:2]
    u = accept_uniforms(verifier.key, 0, count)[1]
    margin = (log_p[1] - log_q[1]) - (log_p[0] - log_q[0]) - numpy.log(u)
    words = " ".join(f"{int(word[0]):08x}" for word in philox(verifier.key, [1], 0, 1))
    lines += ["", f"key          {verifier.key.hex()}", f"block of 1   {words}", f"u_1          {u:.17g}",
              f"log u_1      {numpy.log(u):.12g}"]
    lines += [f"proposal {k}   log_p {log_p[k]:.17g}, log_q {log_q[k]:.17g}, log_w {log_p[k] - log_q[k]:.12g}" for k in (0, 1)]
    lines += [f"margin       {margin:.12g}, so proposal 1 is {'accepted' if margin > 0 else 'rejected'}"]
    return "\n".join(lines)


def main(file):
    try:
        verifier = Verifier(file)
        verifier.verify()
    except Wrong as wrong:
        print(wrong)
        return 1
    print(f"good: {verifier.head.hex()}, {verifier.frontier} proposals, {verifier.left_behind} left behind")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
