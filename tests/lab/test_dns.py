#!/usr/bin/python3
"""The DNS that meshd serves, asked by dig, a phone, another mesh's meshd and systemd-resolved."""
import os
import re
import socket
import unittest

import harness
import sandbox
from network import Space, bridge, cable, plug, wait_until
from phone import Phone
from speech import Voices

DOMAIN = "lab.internal"
LAN = "192.168.1.1"
OUTSIDE = "10.0.0.1"
NUMBER = "+442079460148"
ENUM_NAME = "8.4.1.0.6.4.9.7.0.2.4.4.e164.lab.internal"
LONG = ".".join(["v" * 60] * 3) + ".example"
MS_BIND = 4096
RESOLVED = "lib/systemd/systemd-resolved"
# Whoever is in this sandbox may own and ask what he likes.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"""


class DnsTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.nodes = self.machines("a", "b", "c")
        self.a, self.b, self.c = self.nodes.values()
        bridge(self.a.space, "lan", f"{LAN}/24")

    def in_mesh(self):
        """a and b; c is in a mesh of its own."""
        self.a.configure({**self.a.settings, "voice": {"domain": DOMAIN},
                          "dns": {"listen": [LAN, OUTSIDE], "clients": ["192.168.1.0/24", "10.0.0.0/29"],
                                  "numbers": ["10.0.0.0/29"]}})
        self.b.configure({**self.b.settings, "voice": {"domain": LONG}})
        self.mesh({"a": self.a, "b": self.b})
        self.at = {name: node.addresses() for name, node in (("a", self.a), ("b", self.b))}

    def dig(self, space, server, *words):
        """What dig prints, and what it says of the header: {"status", "flags"}."""
        text = space.run("dig", f"@{server}", "+tries=2", "+time=3", "+noall", "+comments", "+answer", "+authority", "+additional", *words)
        status, flags = re.search(r"status: (\w+)", text), re.search(r"flags: ([a-z ]+);", text)
        return {"text": text, "status": status and status.group(1), "flags": flags.group(1).split() if flags else [],
                "records": [" ".join(line.split()) for line in text.splitlines() if line and line[0] != ";"]}

    def test_members_are_told_names_numbers_and_offices_and_nothing_else(self):
        self.in_mesh()
        self.a.add_user(f"alice@{DOMAIN}", "word-of-alice", "--node", "a", "--number", NUMBER)
        v4, v6 = self.at["a"]
        for server in self.at["a"]:
            for by in ("+notcp", "+tcp"):
                said = self.dig(self.b.space, server, by, f"B.{DOMAIN}", "A")
                self.assertEqual(said["status"], "NOERROR")
                self.assertIn("aa", said["flags"])
                self.assertNotIn("ra", said["flags"])
                self.assertEqual(said["records"], [f"B.{DOMAIN}. 30 IN A {self.at['b'][0]}"])
        self.assertEqual(self.dig(self.b.space, v6, "-x", self.at["b"][1])["records"][0].split()[-1], f"b.{DOMAIN}.")
        self.assertEqual(self.dig(self.b.space, v4, "-x", v4)["records"][0].split()[-1], f"a.{DOMAIN}.")
        said = self.dig(self.b.space, v4, f"nobody.{DOMAIN}")
        self.assertEqual((said["status"], len(said["records"])), ("NXDOMAIN", 1))
        self.assertIn(f"{DOMAIN}. 10 IN SOA ns.a.{DOMAIN}. hostmaster.{DOMAIN}.", said["records"][0])
        self.assertEqual(self.dig(self.b.space, v4, f"b.{DOMAIN}", "MX")["status"], "NOERROR")
        self.assertEqual(self.dig(self.b.space, v4, "www.example.com")["status"], "REFUSED")
        self.assertEqual(self.dig(self.b.space, v4, DOMAIN, "+edns=1", "+noednsnegotiation")["status"], "BADVERS")
        self.assertEqual(self.dig(self.b.space, v4, "+opcode=NOTIFY", DOMAIN)["status"], "NOTIMP")
        self.assertEqual(self.dig(self.b.space, v4, ENUM_NAME, "NAPTR")["records"],
                         [f'{ENUM_NAME}. 30 IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:alice@{DOMAIN}!" .'])
        self.assertEqual(self.dig(self.b.space, v4, f"_sip._tcp.{DOMAIN}", "SRV")["records"],
                         [f"_sip._tcp.{DOMAIN}. 10 IN SRV 10 10 5060 sip.a.{DOMAIN}.",
                          f"_sip._tcp.{DOMAIN}. 10 IN SRV 20 10 5060 b.{DOMAIN}.",
                          f"sip.a.{DOMAIN}. 10 IN A {v4}"] + [f"b.{DOMAIN}. 30 IN {kind} {address}" for kind, address in
                                                               zip(("A", "AAAA"), self.at["b"])])
        # Several at once on one connection.
        said = self.dig(self.b.space, v4, "+tcp", "+keepopen", f"a.{DOMAIN}", "A", f"b.{DOMAIN}", "A", f"c.{DOMAIN}", "A")
        self.assertEqual([record.split()[-1] for record in said["records"][:2]], [v4, self.at["b"][0]])

        # What is too large for UDP is cut, and asked for again by TCP.
        long = self.dig(self.a.space, self.at["b"][0], "+bufsize=512", "+ignore", LONG, "NAPTR")
        self.assertIn("tc", long["flags"])
        self.assertEqual(long["records"], [])
        self.assertEqual(len(self.dig(self.a.space, self.at["b"][0], "+bufsize=512", LONG, "NAPTR")["records"]), 2)
        self.assertNotIn("tc", self.dig(self.a.space, self.at["b"][0], "+bufsize=1232", "+ignore", LONG, "NAPTR")["flags"])

        self.assertRegex(self.a.ctl("status"), rf"\ndns    {DOMAIN} at .*{v4}:53")
        self.assertIn(f"alice@{DOMAIN}", self.a.ctl("dns", ENUM_NAME))
        counters = self.a.ask("dns")["counters"]
        self.assertEqual((counters["dns_served_refused"], counters["dns_served_dropped"]), (1, 0))
        self.b.stop()
        wait_until("the office that has gone to be left out",
                   lambda: len(self.dig(self.a.space, v4, f"_sip._tcp.{DOMAIN}", "SRV")["records"]) == 2, 15, 0.2)

    def test_a_phone_with_nothing_but_its_account_finds_its_office_by_srv(self):
        self.in_mesh()
        self.a.add_user(f"alice@{DOMAIN}", "word-of-alice", "--node", "a", "--number", NUMBER)
        space = Space("alice")
        self.addCleanup(space.remove)
        cable(space, "eth0", self.a.space, "alice")
        self.addCleanup(self.a.space.ip, "link", "del", "dev", "alice")
        plug(self.a.space, "lan", "alice")
        space.set_up("eth0", "192.168.1.11/24")
        for transport in ("udp", "tcp"):
            folder = f"{self.folder}/{transport}"
            os.mkdir(folder)
            alice = Phone(space, "eth0", "alice", "word-of-alice", DOMAIN, None, Voices(folder), folder, f"{self.folder}/logs",
                          transport, f"{LAN}:53")
            alice.wait_registered()
            wait_until("meshd to know the phone", lambda: self.a.ask("phones")["phones"], 5)
            alice.stop()
        self.assertIn(f"sip.a.{DOMAIN}. 10 IN A {LAN}", self.dig(space, LAN, f"sip.a.{DOMAIN}")["records"])
        self.assertEqual(self.dig(space, LAN, ENUM_NAME, "NAPTR")["status"], "REFUSED")

        # Another mesh's calls find the number, and the office of who has it.
        self.c.configure({**self.c.settings, "voice": {"enum": {"servers": [f"{OUTSIDE}:53"], "suffixes": ["e164.lab.internal"]}}})
        self.c.start()
        self.c.ctl("init", "other", "--name", "c")
        said = self.c.ask("enum", NUMBER)
        self.assertEqual([lead["uri"] for lead in said["leads"]], [f"sip:alice@{DOMAIN}"])
        hop = said["leads"][0]["hops"][0]
        self.assertEqual((hop["transport"], hop["at"], hop["name"]), ("UDP", f"{OUTSIDE}:5060", f"sip.a.{DOMAIN}"))
        # Whoever may not ask hears nothing.
        stranger = Space("stranger")
        self.addCleanup(stranger.remove)
        cable(stranger, "eth0", self.switch, "stranger")
        plug(self.switch, "lan", "stranger")
        stranger.set_up("eth0", "10.0.0.99/24")
        for by in ("+notcp", "+tcp"):
            self.assertIsNone(stranger.run("dig", f"@{OUTSIDE}", by, "+tries=1", "+time=1", f"a.{DOMAIN}", check=False))
        self.assertGreaterEqual(self.a.ask("dns")["counters"]["dns_served_strangers"], 2)

    def test_another_program_keeps_its_port_and_the_mesh_goes_on(self):
        blocker = self.a.space.start(["/usr/bin/python3", "-c", "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                                      "s.bind(('0.0.0.0', 53))\ntime.sleep(600)"], f"{self.folder}/logs/blocker.log")
        wait_until("the port to be taken", lambda: ":53 " in self.a.space.run("ss", "-lun"), 5)
        self.in_mesh()
        status = self.a.ctl("status")
        self.assertRegex(status, rf"; not at .*{self.at['a'][0]}:53")
        self.assertIn(f"at [{self.at['a'][1]}]:53", status)
        self.assertIn("another program has this port", self.a.ctl("dns"))
        self.assertTrue(blocker.running())
        blocker.kill()

    def dnsmasq(self, *words):
        """A resolver for the LAN, such as gateways have, in a's network."""
        return self.a.space.start(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file",
                                   "--user=root", "--address=/gateway.example/192.168.1.1", *words], f"{self.folder}/logs/dnsmasq.log")

    def test_dnsmasq_with_its_own_addresses_and_meshd_share_the_machine_and_one_with_all_addresses_goes_first(self):
        bridge(self.a.space, "lan2", "192.168.2.1/24")
        self.in_mesh()
        v4 = self.at["a"][0]
        asked = lambda server, name: self.dig(self.a.space, server, name)["records"]
        beside = self.dnsmasq("--bind-dynamic", "--interface=lan2", "--except-interface=lo")
        wait_until("dnsmasq beside meshd", lambda: ":53 " in self.a.space.run("ss", "-lun", "src", "192.168.2.1"), 5)
        self.assertEqual(asked("192.168.2.1", "gateway.example")[0].split()[-1], "192.168.1.1")
        self.assertEqual(asked(v4, f"a.{DOMAIN}")[0].split()[-1], v4)
        beside.kill()

        # The kernel gives nobody all addresses where one is taken: it does not start, and says why. meshd goes on.
        late = self.dnsmasq()
        wait_until("dnsmasq to give up", lambda: not late.running(), 5)
        with open(f"{self.folder}/logs/dnsmasq.log") as log:
            self.assertIn("ddress already in use", log.read())
        self.assertEqual(asked(v4, f"a.{DOMAIN}")[0].split()[-1], v4)

        # So it goes first, as the units order them: then meshd steps back, says so, and leaves it the port when it starts anew.
        self.a.stop()
        early = self.dnsmasq()
        wait_until("dnsmasq to start", lambda: ":53 " in self.a.space.run("ss", "-ltn"), 5)
        self.a.start()
        self.assertTrue(all(not door["open"] and "another program has this port" in door["why"] for door in self.a.ask("dns")["listen"]))
        self.assertIn("another program has this port", self.a.ctl("dns"))
        early.kill()
        again = self.dnsmasq()
        wait_until("dnsmasq to start again", lambda: ":53 " in self.a.space.run("ss", "-ltn", "src", "0.0.0.0"), 5)
        self.assertTrue(again.running())
        again.kill()

    def resolved(self):
        """systemd-resolved in a's network, not started."""
        folders = ["/", os.path.join(self.programs, "..", "resolved")]
        program = next((path for path in (os.path.join(folder, RESOLVED) for folder in folders) if os.access(path, os.X_OK)), None)
        if not program:
            raise unittest.SkipTest("there is no systemd-resolved: packaging/test fetches it")
        for folder in ("dbus", "systemd"):
            os.makedirs(f"/run/{folder}", exist_ok=True)
        for name, line in (("passwd", "systemd-resolve:x:987:987::/:/usr/sbin/nologin"), ("group", "systemd-resolve:x:987:")):
            with open(f"/etc/{name}") as file:
                text = file.read()
            if "systemd-resolve:" not in text:
                with open(f"/run/{name}", "w") as file:
                    file.write(text + line + "\n")
                sandbox.mount(f"/run/{name}", f"/etc/{name}", "none", MS_BIND)
        with open("/run/bus.conf", "w") as file:
            file.write(BUS)
        bus = self.a.space.start(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile"], f"{self.folder}/logs/bus.log")
        self.addCleanup(bus.kill)
        wait_until("the bus", lambda: os.path.exists("/run/dbus/system_bus_socket"), 5)
        return lambda: self.a.space.start([program], f"{self.folder}/logs/resolved.log")

    def told(self):
        return self.a.ask("dns")["resolved"]["state"]

    def link(self):
        """What systemd-resolved has been told of the device, as busctl shows it."""
        index = self.a.space.inside(lambda: socket.if_nametoindex("mesh0"))
        path = self.a.space.run("busctl", "call", "org.freedesktop.resolve1", "/org/freedesktop/resolve1",
                                "org.freedesktop.resolve1.Manager", "GetLink", "i", str(index)).split('"')[1]
        return {name: self.a.space.run("busctl", "get-property", "org.freedesktop.resolve1", path, "org.freedesktop.resolve1.Link", name)
                for name in ("DNS", "Domains", "DefaultRoute", "DNSOverTLS", "DNSSEC", "LLMNR", "MulticastDNS")}

    def test_systemd_resolved_asks_here_for_these_names_whenever_it_starts(self):
        start = self.resolved()
        self.a.start()
        self.a.ctl("init", "lab", "--name", "a")
        wait_until("meshd to see that it does not run", lambda: self.told() == "absent", 10)
        self.assertIn("no systemd-resolved to be told (it does not run here)", self.a.ctl("dns"))
        program = start()
        wait_until("systemd-resolved to be told", lambda: self.told() == "told", 20)
        v4, v6 = self.a.addresses()
        link = self.link()
        self.assertIn("2 2 4 " + v4.replace(".", " "), link["DNS"])
        self.assertIn('"lab.internal" true', link["Domains"])
        self.assertIn("ip6.arpa", link["Domains"])
        self.assertNotIn(" false", link["Domains"])
        self.assertEqual(link["DefaultRoute"].strip(), "b false")
        # Whatever resolved.conf says of other servers.
        self.assertEqual({name: link[name].split()[-1] for name in ("DNSOverTLS", "DNSSEC", "LLMNR", "MulticastDNS")},
                         dict.fromkeys(("DNSOverTLS", "DNSSEC", "LLMNR", "MulticastDNS"), '"no"'))
        self.assertEqual(self.dig(self.a.space, "127.0.0.53", f"a.{DOMAIN}", "A")["records"][0].split()[-1], v4)
        self.assertEqual(self.dig(self.a.space, "127.0.0.53", "-x", v6)["records"][0].split()[-1], f"a.{DOMAIN}.")
        # It asks others for this one, whom nobody reaches from here.
        self.a.space.run("dig", "@127.0.0.53", "+tries=1", "+time=1", "www.example.com", check=False)
        self.assertEqual(self.a.ask("dns")["counters"]["dns_served_refused"], 0)
        self.assertIn("systemd-resolved asks it", self.a.ctl("status"))
        # That of another network is not told: a device's number is another's there.
        self.c.start()
        self.c.ctl("init", "other", "--name", "c")
        wait_until("c to have looked", lambda: "network namespace" in self.c.ask("dns")["resolved"]["why"], 10)

        program.end()
        wait_until("meshd to see that it has ended", lambda: self.told() == "absent", 10)
        program = start()
        self.addCleanup(program.kill)
        wait_until("systemd-resolved to be told again", lambda: self.told() == "told", 20)
        # What was told goes with the device, after a crash too; and at an orderly end.
        self.a.crash()
        wait_until("the device to be gone", lambda: "mesh0" not in self.a.space.ip("link"), 5)
        self.a.start()
        wait_until("systemd-resolved to be told by the next one", lambda: self.told() == "told", 20)
        self.assertIn('"lab.internal" true', self.link()["Domains"])
        self.a.stop()


if __name__ == "__main__":
    harness.main("__main__")
