"""Hosts in network namespaces of their own: partitions in one or both directions, loss, resets, a port that is blocked for a
while. The digest is the undisturbed run's, and who was cut off is back afterwards."""

import os
import shutil
import subprocess
import time
import unittest

from campaign import BIN, SCALE, Campaign, main

NEEDED = ("ip", "nft")
MISSING = [tool for tool in NEEDED if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
PORT = 4000


def system(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


@unittest.skipIf(os.geteuid() != 0, "only root may make network namespaces")
@unittest.skipIf(MISSING, f"these programs are missing: {MISSING}")
class NetworkTest(Campaign):
    """Three hosts on a switch: the coordinator's, and two workers'."""

    HOSTS = {"coordinator": "10.77.0.1", "one": "10.77.0.2", "two": "10.77.0.3"}

    def setUp(self):
        super().setUp()
        self.prefix = f"flowloom-{os.getpid()}-"
        self.addCleanup(self.remove_network)
        self.namespace("switch")
        self.on("switch", "ip", "link", "add", "switch", "type", "bridge")
        self.on("switch", "ip", "link", "set", "switch", "up")
        for host, address in self.HOSTS.items():
            self.namespace(host)
            self.on("switch", "ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", self.prefix + host)
            self.on("switch", "ip", "link", "set", host, "master", "switch", "up")
            self.on(host, "ip", "address", "add", address + "/24", "dev", "eth0")
            self.on(host, "ip", "link", "set", "eth0", "up")
            self.on(host, "ip", "link", "set", "lo", "up")
        self.run_file = self.run_from_files(length=100_000, lease=1)

    def namespace(self, name):
        system("ip", "netns", "add", self.prefix + name)

    def remove_network(self):
        for name in ("switch", *self.HOSTS):
            subprocess.run(["ip", "netns", "delete", self.prefix + name], capture_output=True)

    def on(self, host, *command, **options):
        system("ip", "netns", "exec", self.prefix + host, *map(str, command), **options)

    def start_on(self, host, program, *arguments, stdout=subprocess.DEVNULL):
        command = ["ip", "netns", "exec", self.prefix + host, BIN / program, *map(str, arguments)]
        child = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=self.tmp)
        self.children.append(child)  # `ip` becomes the program: the id is its own
        return child

    def begin(self, relay=None):
        """`relay`: faults of a line between host "one" and the coordinator, as options of the relay that runs on this host."""
        self.undisturbed(self.run_file)
        self.process = self.start_on("coordinator", "flowloom-coordinator", "--dir", self.run_dir, "--run", self.run_file,
                                     "--listen", f"{self.HOSTS['coordinator']}:{PORT}", "--insecure")
        self.until(lambda: self.serves(self.process), "the coordinator serves")
        at = {"one": ["--coordinator", self.relay_on("one", *relay), "--token-file", self.run_dir / "token"]} if relay else {}
        self.workers = {host: self.start_on(host, "flowloom-worker", *at.get(host, ["--dir", self.run_dir]), "--insecure")
                        for host in ("one", "two")}
        log = self.run_dir / "logs/coordinator.log"
        self.until(lambda: log.read_text().count("said hello") >= 2, "both workers have joined")

    def relay_on(self, host, *options):
        self.fault(f"{host}: relay {' '.join(options)}")
        child = self.start_on(host, "relay", self.owner()["address"], *options, stdout=subprocess.PIPE)
        return child.stdout.readline().strip()

    def break_network(self, host, rules):
        """`rules` for what comes in and goes out there, in nftables' language."""
        self.fault(f"{host}: {rules}")
        chains = "".join(f"chain {hook} {{ \ntype filter hook {hook} priority 0\n{rule}\n}}\n" for hook, rule in rules.items())
        self.on(host, "nft", "-f", "-", input=f"table inet faults {{\n{chains}}}\n")

    def mend_network(self, host):
        self.fault(f"{host}: mended")
        self.on(host, "nft", "delete", "table", "inet", "faults")

    def break_for(self, hosts, rules, seconds):
        for host in hosts:
            self.break_network(host, rules)
        time.sleep(seconds)
        for host in hosts:
            self.mend_network(host)

    def finish(self):
        self.leaves(self.process)
        for host, worker in self.workers.items():
            self.assertIn(worker.poll(), (None, 0), f"the worker on host {host} gave up")
        self.assert_same_chain(self.run_file)

    BOTH = {"input": 'iifname "eth0" drop', "output": 'oifname "eth0" drop'}

    def test_one_worker_is_cut_off_for_longer_than_its_lease(self):
        self.begin()
        self.break_for(["one"], self.BOTH, 2.5)
        self.finish()

    def test_everybody_is_cut_off(self):
        self.begin()
        self.break_for(["coordinator"], self.BOTH, 2.5)
        self.finish()

    def test_workers_hear_nothing_and_are_heard(self):
        self.begin()
        self.break_for(["one", "two"], {"input": 'iifname "eth0" drop'}, 2)
        self.finish()

    def test_workers_hear_and_are_not_heard(self):
        self.begin()
        self.break_for(["one", "two"], {"output": 'oifname "eth0" drop'}, 2)
        self.finish()

    def test_packets_are_lost(self):
        self.run_file = self.run_from_files(length=6400, lease=1)
        loss = f"numgen random mod 100 < {self.random.randint(5, 15)} drop"
        self.begin()
        for host in ("one", "two"):
            self.break_network(host, {"input": loss, "output": loss})
        self.finish()

    def test_one_line_is_late_and_in_crumbs_and_the_other_loses_packets(self):
        self.run_file = self.run_from_files(length=6400, lease=1)
        self.begin(relay=["--delay", "0.002", "--jitter", "0.02", "--fragment", "300", "--seed", str(self.seed)])
        loss = f"numgen random mod 100 < {self.random.randint(5, 15)} drop"
        self.break_network("two", {"input": loss, "output": loss})
        self.finish()

    def test_connections_are_reset_again_and_again(self):
        self.begin()
        for _ in range(4 * SCALE):
            if self.process.poll() is not None:
                break
            reset = f"tcp dport {PORT} reject with tcp reset"
            self.break_for([self.random.choice(["one", "two"])], {"output": reset}, self.random.uniform(0.05, 0.5))
            time.sleep(self.random.uniform(0, 0.3))
        self.finish()

    def test_the_port_is_blocked_and_opened(self):
        self.begin()
        self.break_for(["coordinator"], {"input": f"tcp dport {PORT} drop"}, 2)
        self.finish()

    @unittest.skipIf(SCALE == 1, "keep-alive takes 20 s to notice: in campaigns only")
    def test_cut_off_until_both_sides_have_given_up(self):
        self.begin()
        self.break_for(["coordinator"], self.BOTH, 30)
        self.finish()


if __name__ == "__main__":
    main()
