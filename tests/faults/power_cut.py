"""What a power cut may leave of a directory, from the journals that recorder.c wrote while programs worked in it.

The disk promises no more than POSIX does: bytes are there once their file was synchronised, names once their directory was.
Of everything since, any part may be there: 512-byte sectors of any write in any order, or none; of a directory's changes
as many of the first as one likes, whatever became of other directories.
"""

import os
import pathlib
import random
import shutil

SECTOR = 512


class File:
    """`durable`: the bytes at its last synchronisation; `pending`: what was asked of it since."""

    def __init__(self, durable=b""):
        self.durable = bytearray(durable)
        self.pending = []  # (offset, bytes) or a new length

    def synchronise(self):
        for change in self.pending:
            apply(self.durable, change)
        self.pending = []

    def after(self, how, chance):
        """Its bytes after the cut."""
        if how == "torn":
            changes = [piece for change in self.pending for piece in sectors(change) if chance.random() < 0.5]
            if not any(isinstance(change, int) for change in changes):
                chance.shuffle(changes)
        elif how == "short":
            changes = self.pending[: chance.randint(0, len(self.pending))]
            if changes and not isinstance(changes[-1], int):
                offset, data = changes[-1]
                changes[-1] = (offset, data[: chance.randint(0, len(data))])
        else:
            changes = self.pending if how == "whole" else []
        data = bytearray(self.durable)
        for change in changes:
            apply(data, change)
        return bytes(data)


def apply(data, change):
    if isinstance(change, int):
        del data[change:]
        data.extend(bytes(change - len(data)))
    else:
        offset, piece = change
        data.extend(bytes(max(0, offset - len(data))))
        data[offset : offset + len(piece)] = piece


def sectors(change):
    if isinstance(change, int):
        yield change
        return
    offset, data = change
    at = 0
    while at < len(data):
        count = min(SECTOR - (offset + at) % SECTOR, len(data) - at)
        yield offset + at, data[at : at + count]
        at += count


class Directory:
    """Durable names, and the changes since: functions of the dictionary of names."""

    def __init__(self, names=()):
        self.durable = dict(names)
        self.pending = []

    def now(self, changes=None):
        names = dict(self.durable)
        for change in self.pending if changes is None else changes:
            change(names)
        return names

    def synchronise(self):
        self.durable, self.pending = self.now(), []


class Disk:
    """A directory as it was when the machine was switched on (all of that is durable), and what programs then did to it."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.directories = {}
        self.inodes = {}
        self.modes = {}
        for folder, _, files in os.walk(root):
            name = self.name(folder)
            self.directories[name] = Directory()
            if name != ".":
                self.directory(name).durable[os.path.basename(name)] = name
            for file in files:
                path = pathlib.Path(folder, file)
                self.directories[name].durable[file] = self.inodes[path.stat().st_ino] = File(path.read_bytes())

    def name(self, path):
        return os.path.normpath(os.path.relpath(path, self.root))

    def directory(self, name):
        """The one that holds this name."""
        return self.directories[os.path.dirname(name) or "."]

    def change(self, name, function):
        self.directory(name).pending.append(function)

    def play(self, journal):
        """Everything that one process did; the last entry may be cut short by its end."""
        inodes = dict(self.inodes)
        with open(journal, "rb") as file:
            while line := file.readline():
                if not line.endswith(b"\n"):
                    return
                kind, rest = line[:-1].decode().split(" ", 1)
                if kind == "W":
                    inode, offset, length = map(int, rest.split())
                    data = file.read(length)
                    if len(data) < length:
                        return
                    if inode in inodes:  # else a stream's
                        inodes[inode].pending.append((offset, data))
                elif kind == "T":
                    inode, length = map(int, rest.split())
                    if inode in inodes:
                        inodes[inode].pending.append(length)
                elif kind == "S":
                    if int(rest) in inodes:
                        inodes[int(rest)].synchronise()
                elif kind == "C":
                    inode, name = rest.split(" ", 1)
                    made = inodes[int(inode)] = File()
                    self.change(name, lambda names, base=os.path.basename(name), made=made: names.update({base: made}))
                elif kind == "M":
                    self.directories[rest] = Directory()
                    self.change(rest, lambda names, base=os.path.basename(rest), made=rest: names.update({base: made}))
                elif kind == "U":
                    self.change(rest, lambda names, base=os.path.basename(rest): names.pop(base, None))
                elif kind in "RL":
                    old, new = rest.split("\t")
                    if os.path.dirname(old) != os.path.dirname(new):
                        raise ValueError(f"a name moves between directories: {rest}")
                    self.change(new, linked(os.path.basename(old), os.path.basename(new), kind == "R"))
                elif kind == "D":
                    self.directories[rest].synchronise()
                else:
                    raise ValueError(f"{journal}: {line!r}")

    def cut(self, how, seed):
        """Leaves on the real disk what may be left. `how`: nothing, short, torn or whole of what was not synchronised."""
        chance = random.Random(seed)
        modes = {}
        logs = {}
        for folder, _, files in os.walk(self.root):
            for file in files:
                path = pathlib.Path(folder, file)
                modes[self.name(path)] = path.stat().st_mode & 0o777
                if path.suffix == ".log":
                    logs[self.name(path)] = path.read_bytes()
        for entry in list(self.root.iterdir()):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.leave(".", how, chance, modes, logs)

    def leave(self, folder, how, chance, modes, logs):
        (self.root / folder).mkdir(exist_ok=True)
        directory = self.directories[folder]
        counts = {"nothing": 0, "whole": len(directory.pending)}
        count = counts.get(how, chance.randint(0, len(directory.pending)))
        for base, entry in sorted(directory.now(directory.pending[:count]).items()):
            name = os.path.normpath(os.path.join(folder, base))
            if isinstance(entry, str):
                self.leave(entry, how, chance, modes, logs)
            else:
                (self.root / name).write_bytes(logs.get(name, entry.after(how, chance)))
                os.chmod(self.root / name, modes.get(name, 0o600))


def linked(old, new, moved):
    def change(names):
        if old in names:
            names[new] = names.pop(old) if moved else names[old]

    return change
