"""A bad network between workers and coordinator, made by a relay of our own: late, out of order between connections, in
crumbs, cut in mid-message, silent in one direction, slow. The digest is the undisturbed run's."""

import subprocess
import unittest

from campaign import BIN, SCALE, Campaign, main


class RelayTest(Campaign):
    def setUp(self):
        super().setUp()
        self.run_file = self.run_from_files(length=6400, lease=1)
        self.undisturbed(self.run_file)
        self.process = self.coordinator(self.run_file)

    def relay(self, **faults):
        options = [text for name, value in faults.items() for text in ("--" + name.replace("_", "-"), str(value))]
        self.fault("relay " + " ".join(options))
        child = subprocess.Popen([BIN / "relay", self.address(), *options], stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        return child.stdout.readline().strip()

    def worker_through(self, address):
        return self.start("flowloom-worker", "--coordinator", address, "--token-file", self.run_dir / "token")

    def finish(self, *workers):
        self.leaves(self.process)
        for worker in workers:
            self.assertIn(worker.poll(), (None, 0), "a worker gave up")
        self.assert_same_chain(self.run_file)

    def test_late_in_crumbs_and_overtaking_each_other(self):
        """Crumbs of HTTP/2 frames: nothing arrives whole."""
        relays = [self.relay(delay=0.002, jitter=0.02, fragment=fragment, seed=self.seed) for fragment in (7, 300)]
        self.finish(*[self.worker_through(address) for address in relays + relays])

    def test_cut_in_mid_message_again_and_again(self):
        address = self.relay(cut_after=20_000 * max(1, 10 // SCALE), seed=self.seed)
        self.finish(self.worker_through(address), self.worker_through(address))

    def test_silent_in_one_direction_while_others_go_on(self):
        address = self.relay(stall_after=30_000, seed=self.seed)
        self.finish(self.worker_through(address), self.worker_through(address), self.worker())

    def test_slow(self):
        address = self.relay(rate=200_000, delay=0.01)
        self.finish(self.worker_through(address), self.worker_through(address))

    @unittest.skipIf(SCALE == 1, "keep-alive takes 20 s to notice a connection that is silent: in campaigns only")
    def test_silent_to_everybody(self):
        address = self.relay(stall_after=60_000, seed=self.seed)
        self.finish(self.worker_through(address), self.worker_through(address))


if __name__ == "__main__":
    main()
