"""A worker of our own in Python that does not keep to the protocol, beside honest ones. The coordinator refuses it with a
sentence or takes no notice, goes on serving the others, stays bounded, and the digest is the undisturbed run's."""

import contextlib
import json
import queue
import socket
import sqlite3
import struct
import sys
import threading
import time

from campaign import SKIPPED, Campaign, main

try:
    import grpc
except ImportError:
    print("Skipped: this needs Debian's python3-grpcio and python3-protobuf, with Debian's own python3.")
    sys.exit(SKIPPED)

import protocol

Message = protocol.coordinator.WorkerMessage
Refusal = protocol.coordinator.Refusal
UNIT = 64
COLUMN = 8 * UNIT  # bytes


def packed(*values):
    return struct.pack(f"<{len(values)}d", *values)


class Hostile:
    """A connection of a worker: says what it is told to, hears what comes."""

    def __init__(self, test, hello=True, deaf=False, **fields):
        options = [("grpc.max_send_message_length", -1)]
        if deaf:  # what it does not read stays with the coordinator
            options += [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
        self.channel = grpc.insecure_channel(test.address(), options=options)
        self.token = (test.run_dir / "token").read_text().strip()
        self.said = queue.Queue()
        self.heard = []
        self.arrived = threading.Condition()
        self.over = None  # the status that ended the stream
        work = self.channel.stream_stream("/flowloom.v1.Coordinator/Work", request_serializer=self.bytes_of,
                                          response_deserializer=protocol.coordinator.CoordinatorMessage.FromString)
        self.call = work(iter(self.said.get, None), metadata=(("authorization", f"Bearer {self.token}"),))
        if not deaf:
            threading.Thread(target=self.listen, daemon=True).start()
        self.test = test
        test.addCleanup(self.leave)
        if hello:
            self.say_hello(**fields)

    @staticmethod
    def bytes_of(message):
        return message if isinstance(message, bytes) else message.SerializeToString()

    def listen(self):
        try:
            for message in self.call:
                with self.arrived:
                    self.heard.append(message)
                    self.arrived.notify_all()
            self.over = (grpc.StatusCode.OK, "")
        except grpc.RpcError as error:
            self.over = (error.code(), error.details())
        with self.arrived:
            self.arrived.notify_all()

    def leave(self):
        self.said.put(None)
        self.call.cancel()
        self.channel.close()

    def say_hello(self, credits=4, **fields):
        hello = protocol.coordinator.Hello(name="hostile", protocol="flowloom.v1", capabilities=["sample", "reweigh"],
                                           credits=credits, device="cpu", **fields)
        engine, precision, revision, build = self.test.right.numerics
        hello.engines.add(engine=engine, precision=precision, revision=int(revision), build=build)
        self.said.put(Message(hello=hello))

    def ready(self, *versions):
        for version in versions:
            self.said.put(Message(ready=protocol.coordinator.Ready(version=version)))

    def answer(self, unit, log_p, log_q, sums, version=1, epoch=1):
        self.said.put(Message(sample=protocol.coordinator.SampleAnswer(
            unit=unit, version=version, epoch=epoch, log_p=log_p, log_q=log_q, sums=sums)))

    def right(self, unit):
        """log_p, log_q and the sums that an honest worker would give."""
        return self.test.right.units[unit][1:]

    def answer_rightly(self, unit, epoch=1):
        self.answer(unit, *self.right(unit), version=self.test.right.units[unit][0], epoch=epoch)

    def sums_of(self, value):
        return packed(*[value] * (len(self.right(0)[2]) // 8))

    def grants(self):
        return [message.sample for message in self.heard if message.HasField("sample")]

    def refusals(self):
        return [message.refusal for message in self.heard if message.HasField("refusal")]

    def wait_for(self, condition, what):
        self.test.until(condition, f"{what}; it ended with {self.over}, it heard {len(self.heard)} messages")

    def assert_refused(self, code, words=""):
        self.wait_for(lambda: any(refusal.code == code for refusal in self.refusals()) or self.over, f"a refusal {code}")
        found = [refusal.sentence for refusal in self.refusals() if refusal.code == code]
        self.test.assertTrue(found, f"{self.over}, {self.refusals()}")
        self.test.assertIn(words, found[0])
        self.test.assertRegex(found[0], r"[.]$")

    def assert_ended(self, code=None):
        self.wait_for(lambda: self.over, "the coordinator ends the stream")
        if code:
            self.test.assertEqual(self.over[0], code, self.over)


class Undisturbed:
    """What an undisturbed run wrote: the right answer to every unit, and the numerics that a worker must have."""

    def __init__(self, test, folder):
        status = json.loads(test.flowloom("status", folder, "--json"))
        self.numerics = status["numerics"].replace("revision ", "").split(", ")
        self.units = {}  # unit -> (version, log_p, log_q, sums)
        with contextlib.closing(sqlite3.connect(folder / "chain.sqlite")) as store:
            rows = store.execute("SELECT first_index, version, data FROM records WHERE kind = 'unit' ORDER BY sequence")
            for first, version, data in rows:
                self.units[first // UNIT] = (version, data[:COLUMN], data[COLUMN : 2 * COLUMN], data[2 * COLUMN :])


class WithHostile(Campaign):
    undisturbed_runs = {}  # length -> Undisturbed
    audit = None  # share; what a run file has by default
    length, lease = 6400, 1

    def setUp(self):
        super().setUp()
        self.run_file = self.run_from_files(length=self.length, lease=self.lease)
        self.undisturbed(self.run_file)
        self.right = self.undisturbed_runs[self.length]
        if self.audit is not None:
            self.run_file.write_text(self.run_file.read_text().replace("[chain]", f"[chain]\naudit = {self.audit}"))
        self.process = self.coordinator(self.run_file)

    def keep_undisturbed(self, folder):
        self.undisturbed_runs[self.length] = Undisturbed(self, folder)

    def hostile(self, **options):
        return Hostile(self, **options)

    def honest_finish(self):
        """An honest worker carries the chain to its end; what the other did left no trace."""
        self.worker("--name", "honest")
        self.leaves(self.process)
        self.assert_same_chain(self.run_file)

    def memory(self):
        """Of the coordinator, in bytes; `peak` is kept up to date by `ended`."""
        with open(f"/proc/{self.process.pid}/status") as file:
            kilobytes = [int(line.split()[1]) for line in file if line.startswith("VmHWM")]
        self.peak = 1024 * kilobytes[0] if kilobytes else getattr(self, "peak", 0)
        return self.peak

    def ended(self, child, what="the process ends"):
        def over():
            try:
                self.memory()
            except OSError:
                pass
            return child.poll() is not None

        self.until(over, what)
        return child.returncode

    def granted(self, hostile):
        """One that is ready and holds units."""
        hostile.ready(1)
        hostile.wait_for(lambda: hostile.grants(), "a grant")
        return hostile.grants()[0]


class LyingTest(WithHostile):
    """A worker whose numbers look like any others', and are wrong."""

    def lie(self, liar, done=0, until=None, honest_below=0):
        """Answers the grants that it has, from number `done` on, at most up to unit `until`; returns how many it has had."""
        grants = liar.grants()
        for grant in grants[done:]:
            if until is not None and grant.first_unit >= until:
                return done
            log_p, log_q, sums = liar.right(grant.first_unit)
            if grant.first_unit >= honest_below:
                log_p = packed(*[value + 1e-3 for value in struct.unpack(f"<{UNIT}d", log_p)])
            liar.answer(grant.first_unit, log_p, log_q, sums, version=grant.version)
            done += 1
        return done

    def units(self):
        """Those of the chain: what a rewind left behind has been written again."""
        with contextlib.closing(sqlite3.connect(self.run_dir / "chain.sqlite")) as store:
            rows = store.execute("SELECT first_index, version, data FROM records WHERE kind = 'unit' ORDER BY sequence")
            return {first // UNIT: (version, data[:COLUMN], data[COLUMN : 2 * COLUMN], data[2 * COLUMN :])
                    for first, version, data in rows}

    def quarantined(self, status):
        return [entry["name"] for entry in status.get("quarantined", [])]

    def alone(self, until, honest_below):
        """Up to unit `until` all are its own."""
        liar = self.hostile()
        self.granted(liar)
        done = 0
        def drawn():
            nonlocal done
            done = self.lie(liar, done, until, honest_below)
            return self.proposals() >= until * UNIT
        self.until(drawn, "its units are of the chain")
        return liar

    def go_on_from(self, unit):
        self.flowloom("rewind", self.run_dir, "--to", unit)
        self.process = self.coordinator()
        self.worker("--name", "honest")
        self.leaves(self.process)
        self.assertEqual(self.units(), self.right.units)
        self.flowloom("verify", self.run_dir, "--recompute", "100%")


class LyingAmongOthersTest(LyingTest):
    audit = 1
    length, lease = 256000, 60

    def found(self):
        """A liar that was sent away: two others drew already, and could not go on without its units."""
        liar = self.hostile()
        self.granted(liar)
        done = 0
        for name in ("first", "second"):
            self.worker("--name", name)
        drew = lambda: {worker["name"] for worker in self.status()["workers"] if int(worker["answered_units"]) > 0}
        self.until(lambda: drew() == {"first", "second"}, "others draw")
        def sent_away():
            nonlocal done
            done = self.lie(liar, done)
            return liar.over
        self.until(sent_away, "it is found")
        liar.assert_refused(Refusal.CODE_QUARANTINED, "proved wrong")
        self.until(lambda: self.proposals() > 0, "the chain goes on, and that it is in quarantine is on disk")
        return liar

    def test_it_is_found_and_put_in_quarantine_for_good(self):
        self.found()
        self.hostile().assert_refused(Refusal.CODE_QUARANTINED, "Have its machine checked")
        self.leaves(self.process)
        self.assertEqual(self.quarantined(self.status()), ["hostile"])
        self.assertEqual(self.units(), self.right.units)
        self.flowloom("verify", self.run_dir, "--recompute", "20%")

    def test_it_stays_there_when_the_coordinator_is_killed(self):
        self.found()
        self.kill(self.process)
        self.process = self.coordinator()
        self.hostile().assert_refused(Refusal.CODE_QUARANTINED)
        self.leaves(self.process)
        self.assertEqual(self.units(), self.right.units)


class LyingAloneTest(LyingTest):
    audit = 0

    def test_what_it_drew_is_found_by_drawing_it_again(self):
        self.alone(20, honest_below=5).leave()
        self.worker("--name", "honest")
        self.leaves(self.process)
        self.flowloom("verify", self.run_dir)
        code, out, err = self.command("flowloom", "verify", self.run_dir, "--recompute", "100%", "--workers", 2)
        self.assertNotEqual(code, 0, out)
        self.assertIn("Unit 5 of the chain is wrong", out + err)
        self.assertEqual(self.quarantined(self.status()), ["hostile"])
        self.go_on_from(5)


class LyingBeforeOthersTest(LyingTest):
    audit = 0.3

    def test_when_it_is_found_what_it_drew_before_is_drawn_again(self):
        liar = self.alone(10, honest_below=3)
        done = len(liar.grants())
        for grant in liar.grants():  # what it holds
            if grant.first_unit >= 10:
                liar.answer(grant.first_unit, *liar.right(grant.first_unit), version=grant.version)
        self.worker("--name", "first")
        self.worker("--name", "second")
        def ended():
            nonlocal done
            done = self.lie(liar, done)
            return liar.over
        self.until(ended, "it is found")
        self.until(lambda: "Unit 3 of the chain is wrong" in self.status().get("sentence", ""), "its first wrong unit is named")
        self.flowloom("drain", self.run_dir)
        self.leaves(self.process)
        self.go_on_from(3)


class MuteTest(WithHostile):
    """A worker that takes units, keeps its stream and never answers, as one does whose GPU hangs. Every unit is drawn twice."""
    audit = 1

    def test_beside_an_honest_worker_the_chain_ends(self):
        mute = self.hostile()
        self.granted(mute)
        self.worker("--name", "honest")
        self.leaves(self.process)
        self.assertIsNotNone(mute.over, "it was there to the end")
        self.assert_same_chain(self.run_file)

    def test_the_status_names_it_until_it_answers(self):
        mute = self.hostile()
        grant = self.granted(mute)
        silent = lambda: [worker["silent"] for worker in self.status()["workers"]]
        self.until(lambda: silent() == [True], "it is silent")
        status = self.status()
        self.assertEqual(status["state"], "waiting")
        self.assertIn("'hostile', does not answer", status["sentence"])
        mute.answer_rightly(grant.first_unit)
        self.until(lambda: silent() == [False], "it answered")
        mute.leave()
        self.worker("--name", "honest")
        self.leaves(self.process)
        self.assert_same_chain(self.run_file)


class HostileTest(WithHostile):

    # ---------------------------------------------------------------- answers

    def test_answers_twice_and_late_and_out_of_order(self):
        hostile = self.hostile(credits=8)
        hostile.ready(1)
        self.worker("--name", "honest", "--credits", "1")
        done = 0
        while self.process.poll() is None and not hostile.over:
            grants = hostile.grants()
            fresh = [unit for grant in grants[done:] for unit in range(grant.first_unit, grant.first_unit + grant.units)]
            done = len(grants)
            self.random.shuffle(fresh)
            for unit in fresh:
                for again in (unit, unit, self.random.randint(0, unit)):  # the last one was committed long ago, most often
                    hostile.answer_rightly(again)
            time.sleep(0.002)
        self.assertGreater(done, 0)
        self.leaves(self.process)
        self.assert_same_chain(self.run_file)

    def test_answers_after_its_lease_has_passed_and_others_have_answered(self):
        hostile = self.hostile()
        grant = self.granted(hostile)
        self.worker("--name", "honest")
        self.until(lambda: self.proposals() > grant.first_unit * UNIT, "somebody else has drawn the unit")
        hostile.answer(grant.first_unit, *[packed(*[1.5] * UNIT)] * 2, hostile.sums_of(1.5))  # numbers that are wrong, too
        hostile.leave()
        self.leaves(self.process)
        self.assert_same_chain(self.run_file)

    def test_answers_of_another_epoch_are_judged_by_their_unit(self):
        hostile = self.hostile()
        for message in (self.granted(hostile),):
            for epoch in (0, 2**63):
                hostile.answer_rightly(message.first_unit, epoch=epoch)
        self.until(lambda: self.proposals() >= UNIT, "the unit is committed")
        hostile.leave()
        self.honest_finish()

    def test_answers_under_a_wrong_version(self):
        hostile = self.hostile()
        unit = self.granted(hostile).first_unit
        for version in (2, 3, 2**32 - 1, 0):
            hostile.answer(unit, *hostile.right(unit), version=version)
        hostile.assert_refused(Refusal.CODE_WRONG_VERSION, "version")
        self.assertIsNone(hostile.over, "the stream goes on")
        hostile.leave()
        self.honest_finish()

    def test_answers_with_wrong_counts_end_its_stream(self):
        for cut in (lambda p, q, s: (p[:-8], q, s), lambda p, q, s: (p, q + q, s), lambda p, q, s: (p, q, b""),
                    lambda p, q, s: (p, q, s[:-3]), lambda p, q, s: (b"", b"", b"")):
            hostile = self.hostile()
            unit = self.granted(hostile).first_unit
            hostile.answer(unit, *cut(*hostile.right(unit)))
            hostile.assert_refused(Refusal.CODE_WRONG_COUNT)
            hostile.assert_ended()
        self.honest_finish()

    def test_answers_units_that_were_never_leased(self):
        hostile = self.hostile(credits=0)
        hostile.ready(1)
        for unit in (0, 5, 40, 99, 100, 2**58, 2**64 - 1):
            hostile.answer(unit, *hostile.right(0), epoch=2**63)
        hostile.assert_refused(Refusal.CODE_NEVER_LEASED)
        self.until(lambda: len(hostile.refusals()) == 7, "all are refused")
        self.assertEqual(hostile.grants(), [])
        hostile.leave()
        self.honest_finish()

    def test_answers_before_it_has_shown_that_it_can(self):
        other = self.hostile()
        unit = self.granted(other).first_unit
        hostile = self.hostile()
        hostile.answer(unit, *[packed(*[1.5] * UNIT)] * 2, hostile.sums_of(1.5))
        hostile.assert_refused(Refusal.CODE_NEVER_LEASED, "has not shown")
        other.leave()
        hostile.leave()
        self.honest_finish()

    def test_a_unit_of_nans_is_drawn_again_by_others(self):
        hostile = self.hostile(credits=1)
        unit = self.granted(hostile).first_unit
        for name in ("one", "another"):
            self.worker("--name", name)
        nans = struct.pack(f"<{UNIT}d", *[float("nan")] * UNIT)
        hostile.answer(unit, nans, nans, nans * (len(hostile.right(0)[2]) // COLUMN))
        hostile.assert_refused(Refusal.CODE_QUARANTINED, "proved wrong")
        self.leaves(self.process)
        self.assert_same_chain(self.run_file)

    def test_nans_of_any_payload_are_stored_as_one(self):
        """This is the chain with NaNs in one unit: the worker is alone, and is asked for it twice."""
        nans = [0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF]
        hostile = self.hostile(credits=1)
        unit = self.granted(hostile).first_unit
        for times in (1, 2):
            hostile.wait_for(lambda: len(hostile.grants()) >= times, "a grant")
            self.assertEqual(hostile.grants()[-1].first_unit, unit)
            column = struct.pack(f"<{UNIT}Q", *(self.random.choice(nans) for _ in range(UNIT)))
            hostile.answer(unit, column, column, column * (len(hostile.right(0)[2]) // COLUMN))
        self.until(lambda: self.proposals() >= UNIT, "the unit is committed")
        hostile.leave()
        self.worker("--name", "honest")
        self.leaves(self.process)
        self.flowloom("verify", self.run_dir)
        self.assertEqual(int(self.status()["invalid"]), UNIT)
        with contextlib.closing(sqlite3.connect(self.run_dir / "chain.sqlite")) as store:
            data, = store.execute("SELECT data FROM records WHERE kind = 'unit' AND first_index = ?", (unit * UNIT,)).fetchone()
        self.assertEqual(set(struct.unpack(f"<{len(data) // 8}Q", data)), {0x7FF8000000000000})

    # ---------------------------------------------------------------- messages

    def test_a_version_that_does_not_exist_is_ready_or_not(self):
        hostile = self.hostile()
        hostile.ready(3, 0, 2**32 - 1)
        hostile.assert_refused(Refusal.CODE_WRONG_VERSION, "no version")
        for version in (3, 2**32 - 1):
            hostile.said.put(Message(not_ready=protocol.coordinator.NotReady(version=version, sentence="no" * 100_000)))
        self.granted(hostile)
        hostile.leave()
        self.honest_finish()

    def test_messages_out_of_order(self):
        first = self.hostile(hello=False)
        first.ready(1)
        first.assert_ended(grpc.StatusCode.INVALID_ARGUMENT)
        twice = self.hostile()
        twice.say_hello()
        twice.said.put(Message())
        twice.assert_refused(Refusal.CODE_PROTOCOL)
        self.assertIsNone(twice.over)
        twice.leave()
        self.honest_finish()

    def test_failures_of_units_that_it_does_not_hold(self):
        hostile = self.hostile()
        self.granted(hostile)
        for unit in (50, 99, 2**63):
            for _ in range(5):
                hostile.said.put(Message(failure=protocol.coordinator.Failure(unit=unit, sentence="x" * 100_000)))
        hostile.said.put(Message(failure=protocol.coordinator.Failure(reweigh_index=0, sentence="x")))
        hostile.leave()
        self.honest_finish()

    def test_credits_of_nothing_and_of_too_much(self):
        idle, greedy, grows = self.hostile(credits=0), self.hostile(credits=2**32 - 1), self.hostile(credits=1)
        greedy.assert_refused(Refusal.CODE_PROTOCOL, "units at once")
        greedy.assert_ended()
        grows.said.put(Message(credit=protocol.coordinator.Credit(credits=2**32 - 1)))
        idle.ready(1)
        self.granted(grows)
        self.until(lambda: len(grows.grants()) == 16, "the window bounds what it gets")
        self.assertEqual(idle.grants(), [])
        for hostile in (idle, grows):
            hostile.leave()
        self.honest_finish()

    def test_garbage_on_the_stream(self):
        for garbage in (b"\xff" * 100, self.random.randbytes(10_000), Message(hello={"name": "x"}).SerializeToString()[:-1]):
            hostile = self.hostile()
            self.granted(hostile)
            hostile.said.put(garbage)
            hostile.assert_ended()
        self.honest_finish()

    def test_a_message_above_the_size_limit(self):
        hostile = self.hostile()
        unit = self.granted(hostile).first_unit
        hostile.answer(unit, bytes(17 << 20), b"", b"")
        hostile.assert_ended(grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.honest_finish()

    # ---------------------------------------------------------------- connections

    def test_a_worker_that_does_not_read(self):
        """Its queue is bounded, and what it was granted returns when that is full."""
        hostile = self.hostile(deaf=True)
        hostile.ready(1)
        flood = Message(ready=protocol.coordinator.Ready(version=77)).SerializeToString()  # each makes a refusal
        before = self.memory()
        for _ in range(60_000):
            hostile.said.put(flood)
        log = self.run_dir / "logs/coordinator.log"
        self.until(lambda: "worker 1 left" in log.read_text(), "the coordinator gives it up")
        self.worker("--name", "honest")
        self.leaves(self.process)
        self.assertLess(self.peak, before + 64e6)
        self.assert_same_chain(self.run_file)

    def test_noise_on_the_port_and_connections_that_say_nothing(self):
        """A thousand of them, each with the beginning of something; and streams without Hello."""
        host, port = self.address().rsplit(":", 1)
        beginnings = [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                      b"PRI * HTTP/2.0\r\n\r\nSM", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.random.randbytes(100),
                      b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", self.random.randbytes(1000)]
        sockets = []
        for number in range(1000):
            connection = socket.create_connection((host, int(port)), timeout=10)
            self.addCleanup(connection.close)
            sockets.append(connection)
            try:
                connection.sendall(beginnings[number % len(beginnings)])
            except OSError:
                pass  # it was shown the door
        silent = self.hostile(hello=False)
        silent.assert_ended(grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertIn("No Hello came", silent.over[1])
        self.honest_finish()


class DeafClientsTest(WithHostile):
    length = 256000

    def test_clients_that_do_not_read_are_dropped_after_20_seconds(self):
        """Until then each holds one reply; the chain goes on meanwhile, and its end waits for none of them."""
        deaf = self.hostile(hello=False, deaf=True)
        streams = deaf.channel.unary_stream("/flowloom.v1.Chain/StreamStates",
                                            request_serializer=protocol.chain.StreamStatesRequest.SerializeToString,
                                            response_deserializer=protocol.chain.StatesReply.FromString)
        metadata = (("authorization", f"Bearer {deaf.token}"),)
        before = self.memory()
        calls = [streams(protocol.chain.StreamStatesRequest(follow=True), metadata=metadata) for _ in range(20)]
        honest = self.worker("--name", "first")
        self.until(lambda: self.proposals() >= 64000, "the chain goes on")
        self.kill(honest)
        self.assertLess(self.proposals(), self.length, "the chain is not complete, so that it does not end the streams")
        time.sleep(23)
        self.assertIsNone(self.process.poll())
        for call in calls:
            with self.assertRaises(grpc.RpcError) as raised:
                for _ in call:  # what it was sent before
                    pass
            self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            self.assertIn("Nothing was read for 20 seconds", raised.exception.details())
        self.assertLess(self.memory(), before + 64e6)
        self.honest_finish()


if __name__ == "__main__":
    main()
