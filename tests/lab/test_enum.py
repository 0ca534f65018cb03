#!/usr/bin/python3
"""ENUM against BIND, with Kamailio's enum module as oracle; and a call to a number that DNS leads to, DNS alive and dead."""
import os
import re
import time

import harness
import sandbox
from name_server import NameServer, Oracle
from network import Failed, Space, bridge, cable, plug, wait_until
from phone import Phone
from speech import Voices
from telephone_numbers import NUMBERS, odd_names, record_count, zone

DOMAIN = "lab.internal"
DNS, ORACLE, GATEWAY = "10.0.0.101", "10.0.0.102", "10.0.0.103"
CALLED = "+390461000080"
MS_BIND = 4096
# The first server is nobody.
SERVERS = f"""$TTL 2
@ IN SOA ns hostmaster 1 60 60 60 2
@ IN NS ns
ns IN A {DNS}
@ IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp
_sip._udp IN SRV 0 0 5060 nobody
_sip._udp IN SRV 1 0 5060 gateway
nobody IN A 10.0.0.199
gateway IN A {GATEWAY}
"""


class EnumTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.nodes = self.machines("a")
        self.node = self.nodes["a"]
        bridge(self.node.space, "lan", "192.168.1.1/24")
        self.node.space.forward()
        self.node.configure({**self.node.settings, "voice": {"domain": DOMAIN, "enum": {"servers": [f"{DNS}:53"]}}})
        dns = self.machine("dns", DNS)
        called = '0.8.0.0.0.0.1.6.4.0.9.3 IN NAPTR 10 10 "u" "E2U+sip" "!^.*$!sip:erin@example.net!" .\n'
        self.dns = NameServer(dns, DNS, {"e164.arpa": zone(DNS) + called, "example.net": SERVERS}, odd_names(),
                              f"{self.folder}/named", f"{self.folder}/logs")
        self.dns.start()
        self.addCleanup(self.dns.stop)
        self.mesh(self.nodes)

    def machine(self, name, address):
        space = Space(name)
        self.addCleanup(space.remove)
        cable(space, "eth0", self.switch, name)
        plug(self.switch, "lan", name)
        space.set_up("eth0", f"{address}/24")
        return space

    def resolve_by(self, address):
        """In this sandbox, whose /run is its own: a link into that leads nowhere yet."""
        with open(f"{self.folder}/resolv.conf", "w") as file:
            file.write(f"nameserver {address}\noptions timeout:2 attempts:2\n")
        path = os.path.realpath("/etc/resolv.conf")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            open(path, "w").close()
        sandbox.mount(f"{self.folder}/resolv.conf", path, "none", MS_BIND)

    def test_every_number_leads_where_its_records_say(self):
        self.assertGreaterEqual(record_count(), 60)
        self.resolve_by(DNS)
        oracle = Oracle(self.machine("oracle", ORACLE), ORACLE, f"{self.folder}/oracle", f"{self.folder}/logs")
        oracle.start()
        for number in NUMBERS:
            with self.subTest(number.number):
                said = self.node.ask("enum", number.number)
                self.assertEqual(next((lead["uri"] for lead in said["leads"]), None), number.uri)
                self.assertFalse(said["stale"])
                for record in said["records"]:
                    self.assertTrue(record["why"] or record["verdict"] == "usable", record)
                self.assertEqual(oracle.ask(number.number), number.oracle or "none")
                self.assertTrue(number.why or number.oracle == number.uri)
        oracle.stop()

    def test_what_is_no_number_is_refused_with_the_reason(self):
        for number, reason in (("201", "is an extension"), ("02079460148", "begins with '+'"), ("+44x", "holds digits"),
                               ("+1234567890123456", "at most 15 digits"), ("+0441", "begins with 0")):
            with self.assertRaisesRegex(Failed, re.escape(reason)):
                self.node.ctl("enum", number)

    def test_a_number_is_called_where_dns_leads_and_still_when_dns_is_dead(self):
        self.node.add_user(f"alice@{DOMAIN}", "word-of-alice", "--node", "a", "--number", "201")
        gateway = self.machine("gateway", GATEWAY)
        scenario = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp", "callee.xml")
        callee = gateway.start(["sipp", "-sf", scenario, "-i", GATEWAY, "-p", "5060", "-m", "2", "-nostdin"],
                               f"{self.folder}/logs/sipp.log", env={**os.environ, "TERM": "dumb"})
        space = Space("alice")
        cable(space, "eth0", self.node.space, "alice")
        self.addCleanup(self.node.space.ip, "link", "del", "dev", "alice")
        plug(self.node.space, "lan", "alice")
        space.set_up("eth0", "192.168.1.11/24")
        space.default_route("192.168.1.1")
        alice = Phone(space, "eth0", "alice", "word-of-alice", DOMAIN, "192.168.1.1:5060", Voices(self.folder), self.folder,
                      f"{self.folder}/logs")
        self.addCleanup(alice.stop)
        alice.wait_registered()
        self.call(alice)
        said = self.node.ask("enum", CALLED)
        self.assertEqual([(hop["transport"], hop["at"], hop["name"]) for hop in said["leads"][0]["hops"]],
                         [("UDP", "10.0.0.199:5060", "nobody.example.net"), ("UDP", f"{GATEWAY}:5060", "gateway.example.net")])

        self.dns.stop()
        wait_until("the answers to be old", lambda: self.node.ask("enum", CALLED)["stale"], 20, 0.5)
        self.assertIn("DNS does not answer", self.node.ctl("enum", CALLED))
        self.call(alice)
        self.assertEqual(callee.process.wait(10), 0)

    def call(self, alice):
        began_s = time.time()
        alice.command("dial", f"sip:{CALLED}@{DOMAIN}")
        alice.wait_for("CALL_ESTABLISHED", began_s, 15)
        self.assertEqual([c["path"] for c in self.node.ask("calls")["calls"]], ["outside"])
        alice.hang_up()
        wait_until("the end of the call", lambda: not self.node.ask("calls")["calls"], 5)


if __name__ == "__main__":
    harness.main("__main__")
