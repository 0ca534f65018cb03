#!/usr/bin/python3
"""Members behind NATs of all kinds, real ones: who reaches whom directly, and by what else, as the theory has it."""
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import harness
from internet import Box, Firewall, Internet
from network import Failed, Space, wait_until
from node import Node

DIRECT = {"lan", "open", "mapped", "punched"}
REACH_LIMIT_S = 60  # it takes a few
STAY_S, PINGS = 20, 60
HUB = "hub"  # the member that everybody can reach: it invites, passes on, and listens for TLS
OPEN = {HUB, "open"}
SYMMETRIC = {"random", "random2"}
# A port is let in only if this member has sent to that very port. Homes behind a carrier's box are so, too.
PORT_RESTRICTED = {"cone", "cone2", "beside", "double", "home", "home2", "flat", "flat2"}

NATS = {"open": "none", "full": "endpoint-independent", "cone": "endpoint-independent", "double": "endpoint-independent",
        "random": "endpoint-dependent"}
CAUSES = {
    ("cone", "cone2"): "",
    ("random", "random2"): "both NATs give every peer another port",
    ("flat", "flat2"): "both are behind the router 9.0.0.11, which keeps them apart",
    ("walled", "cone"): "UDP does not leave the network of walled",
    ("cone", "walled"): "UDP does not leave the network of walled",
    ("six", "cone"): "cone has no public IPv6, and six no IPv4",
    ("cone", "six"): "cone has no public IPv6, and six no IPv4",
}


def theory(one, other):
    """By which ways two members can have each other; tests/sim/test_reach.cpp tells why."""
    pair = {one, other}
    if pair == {"cone", "beside"}:
        return {"lan"}
    if pair == {"flat", "flat2"}:  # no packet from inside comes back inside
        return {"relay"}
    if "walled" in pair:
        return {"stream"} if HUB in pair else {"relay"}
    if "six" in pair:
        return {"open", "punched"} if pair & OPEN else {"relay"}
    if pair <= SYMMETRIC:
        return {"relay"}
    if pair & SYMMETRIC and pair & PORT_RESTRICTED:  # one after the other guesses at ports (birthday probing), some in vain
        return {"relay", "punched"}
    return {"punched"} if pair <= PORT_RESTRICTED else DIRECT - {"lan"}


class NatTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.nodes = {}
        self.workers = ThreadPoolExecutor(16)
        self.addCleanup(self.workers.shutdown)
        self.internet = self.kept(Internet())
        self.hub = self.member(HUB, self.internet, streams={"listen": ["0.0.0.0:443"], "proxy": "none"})

    def kept(self, network):
        self.addCleanup(network.space.remove)
        return network

    def box(self, name, prefix, outer=None, **kind):
        return self.kept(Box(name, outer or self.internet, prefix, **kind))

    def member(self, name, network, wire=None, **settings):
        space = Space(name)
        self.addCleanup(space.remove)
        space.address = network.join(space, wire=wire)
        quiet = {"mdns": False, "voice": {"enabled": False}, "dns": False, "port_mapping": False, "streams": {"proxy": "none"}}
        node = Node(space, name, self.programs, self.folder, {**quiet, **settings})
        self.nodes[name] = node
        return node

    def for_all(self, what, nodes):
        return list(self.workers.map(what, nodes))

    def stop_all(self):
        self.for_all(self.stop, self.nodes.values())

    def start_all(self):
        """All are members, and at work."""
        self.addCleanup(self.stop_all)
        self.for_all(Node.start, self.nodes.values())
        self.hub.ctl("init", "lab", "--name", HUB)
        others = [node for node in self.nodes.values() if node is not self.hub]
        tokens = [self.hub.invite(node.name) for node in others]
        self.for_all(lambda pair: pair[0].join(pair[1]), zip(others, tokens))

    def ranks(self, node):
        """{peer: by what way it is had}, of those in session."""
        return {peer["name"]: peer["rank"] for peer in node.ask("peers")["peers"] if peer["state"] == "session"}

    def against_theory(self):
        """What is not as the theory has it, in words."""
        ranks = dict(zip(self.nodes, self.for_all(self.ranks, self.nodes.values())))
        return [f"{one} has {other} by {ranks[one].get(other)}" for one, other in itertools.permutations(self.nodes, 2)
                if ranks[one].get(other) not in theory(one, other)]

    def wait_none(self, what, wrong):
        """Until `wrong()` lists nothing. Seconds, or a failure that tells what it listed last."""
        last = []

        def is_right():
            last[:] = wrong()
            return not last

        try:
            return wait_until(what, is_right, REACH_LIMIT_S, 0.2)
        except Failed as why:
            raise Failed(f"{why}: {'; '.join(last)}") from None

    def wait_as_theory(self):
        return self.wait_none("the ways that the theory has", self.against_theory)

    def guessed(self, one, other):
        return self.by(one, other) == self.by(other, one) == "punched"

    def ping_all(self, node):
        for other in self.nodes.values():
            if other is not node:
                wait_until(f"{node.name} to hear {other.name}", lambda: node.space.ping_ms(self.address[other.name]) is not None, 10)

    def test_every_kind_of_place_reaches_every_other_as_the_theory_has_it(self):
        self.member("open", self.internet)
        full = self.box("box-full", "192.168.1.")
        full.full_cone(self.member("full", full).space.address)
        cone = self.box("box-cone", "192.168.2.")
        self.member("cone", cone)
        self.member("beside", cone, listen_port=51821)  # or the box would give it another port for each peer
        self.member("cone2", self.box("box-cone2", "192.168.3."))
        for number, name in ((4, "random"), (5, "random2")):
            self.member(name, self.box(f"box-{name}", f"192.168.{number}.", ports="random,fully-random"))
        carrier = self.box("carrier", "100.64.1.")
        self.member("double", self.box("box-double", "192.168.6.", carrier))
        for number, (name, hairpins) in enumerate((("home", True), ("flat", False)), 7):
            carrier = self.box(f"carrier-{name}", f"100.64.{number}.")
            homes = [self.box(f"box-{name}{nth}", f"192.168.{number}{nth}.", carrier) for nth in (1, 2)]
            for home, member in zip(homes, (name, f"{name}2")):
                self.member(member, home)
            carrier.keep_apart(*(home.outside for home in homes), hairpins=hairpins)
        self.member("walled", self.box("box-walled", "192.168.9.", blocks="meta l4proto udp drop"))
        six = self.kept(Firewall("box-six", self.internet, "2001:db8:6::"))
        self.member("six", six)
        for name in OPEN:
            self.nodes[name].space.ip("-6", "route", "add", "2001:db8:6::/64", "via", six.outside)

        self.start_all()
        print(f"all as the theory has it after {self.wait_as_theory():.1f} s")
        self.address = {name: node.addresses()[0] for name, node in self.nodes.items()}
        self.for_all(self.ping_all, self.nodes.values())
        self.wait_as_theory()  # what people send moves nobody to another way

        guessed_s = wait_until("a port to be guessed", lambda: any(self.guessed(*pair) for pair in itertools.product(SYMMETRIC, PORT_RESTRICTED)),
                               REACH_LIMIT_S, 0.2)
        print(f"the first port was guessed after {guessed_s:.1f} s more")
        self.wait_none("everybody to know his NAT", lambda: [
            f"{name}: {nat}" for name, expected in NATS.items() if (nat := self.nodes[name].ask("netcheck")["nat"]["ipv4"]) != expected])
        self.wait_none("what `meshctl why` says", lambda: [
            f"{one} of {other}: {cause}" for (one, other), expected in CAUSES.items()
            if (cause := self.nodes[one].ask("why", other)["cause"]) != expected])

    def test_sessions_come_up_and_stay_where_three_of_ten_packets_are_lost_and_the_others_are_late(self):
        """Two that talk by a punched way, and two through another member; one of each pair is at the end of such a line."""
        wire = f"{self.programs}/tests/lab/wire"
        pairs = [("cone", "cone2"), ("random", "random2")]
        bad = []
        for number, name in enumerate(itertools.chain(*pairs), 1):
            box = self.box(f"box-{name}", f"192.168.{number}.", ports="random,fully-random" if name in SYMMETRIC else "")
            is_bad = name in ("cone2", "random2")
            node = self.member(name, box, wire=(wire, f"{self.folder}/logs/wire-{name}.log") if is_bad else None)
            if is_bad:
                bad.append(node)
        self.start_all()
        self.wait_as_theory()
        self.address = {name: node.addresses()[0] for name, node in self.nodes.items()}
        for node in bad:
            self.stop(node)
            node.space.wire.set("both loss 30", "both delay 200")
        self.for_all(Node.start, bad)

        def have_each_other(pair):
            return all(other in self.ranks(self.nodes[one]) for one, other in (pair, pair[::-1]))

        for pair in pairs:
            passed_s = wait_until(f"{pair[0]} and {pair[1]} to be in session", lambda: have_each_other(pair), REACH_LIMIT_S, 0.1)
            print(f"{pair[0]} and {pair[1]} are in session after {passed_s:.1f} s")
        wait_until("the two cones to reach each other directly", lambda: self.by("cone", "cone2") == self.by("cone2", "cone") == "punched",
                   REACH_LIMIT_S, 0.1)
        pings = [self.workers.submit(self.count_pings, *pair) for pair in pairs]
        ways = [self.by("cone", "cone2")]
        until = time.monotonic() + STAY_S
        while time.monotonic() < until:
            for pair in pairs:
                self.assertTrue(have_each_other(pair), pair)
            ways.append(self.by("cone", "cone2"))
            time.sleep(0.2)
        self.assertEqual(self.by("random", "random2"), "relay")
        print(f"the punched way was in use {ways.count('punched') * 100 // len(ways)} % of the time")
        for pair, ping in zip(pairs, pings):
            print(f"{pair[0]} heard {ping.result()} answers of {pair[1]} to {PINGS} pings")
            self.assertGreater(ping.result(), PINGS // 6)  # half of them are lost on neither way

    def by(self, one, other):
        return self.ranks(self.nodes[one]).get(other)

    def count_pings(self, one, other):
        said = self.nodes[one].space.run("ping", "-n", "-q", "-c", str(PINGS), "-i", "0.25", "-W", "2", self.address[other], timeout_s=60)
        return int(said.split(" received")[0].split()[-1])


if __name__ == "__main__":
    harness.main("__main__")
