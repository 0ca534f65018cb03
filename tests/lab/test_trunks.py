#!/usr/bin/python3
"""Trunks on real sockets: a carrier, played by sipp, that wants a password, and a gateway that calls by number."""
import os
import time

import harness
from gateway import Gateway
from network import Space, bridge, cable, plug, wait_until
from phone import Phone
from speech import Voices

DOMAIN = "lab.internal"
CARRIER, GATEWAY = "10.0.0.101", "10.0.0.102"


class TrunkTest(harness.NodesTest):
    def machine(self, name, address):
        space = Space(name)
        self.addCleanup(space.remove)
        cable(space, "eth0", self.switch, name)
        plug(self.switch, "lan", name)
        space.set_up("eth0", f"{address}/24")
        return space

    def gateway(self, name, address, scenario):
        gateway = Gateway(self.machine(name, address), "eth0", address, f"{self.folder}/logs", scenario)
        self.addCleanup(gateway.stop)
        return gateway

    def setUp(self):
        super().setUp()
        os.makedirs(f"{self.folder}/logs", exist_ok=True)
        self.nodes = self.machines("a", "b")
        self.carrier = self.gateway("carrier", CARRIER, "carrier")
        self.other = self.gateway("gateway", GATEWAY, "gateway")
        password = f"{self.folder}/carrier.password"
        with open(password, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write("word-of-trunk\n")
        carrier = {"name": "carrier", "server": f"sip:{CARRIER}", "register": True, "user": "4711", "password_file": password,
                   "from": "sip:4711@carrier.example", "caller_id": "+390461000", "emergency": False}
        gateway = {"name": "gateway", "server": f"sip:{GATEWAY}", "prefixes": ["+39"]}
        voice = {"domain": DOMAIN, "enum": {"use": "never"}, "emergency": ["112"], "phones": ["192.168.0.0/16"]}
        for number, (name, trunk) in enumerate((("a", carrier), ("b", gateway)), 1):
            node = self.nodes[name]
            bridge(node.space, "lan", f"192.168.{number}.1/24")
            node.space.forward()
            node.configure({**node.settings, "voice": {**voice, "trunks": [trunk]}})
        self.mesh(self.nodes)

    def phone(self, office, person, password):
        number = list(self.nodes).index(office) + 1
        space = Space(person)
        self.addCleanup(space.remove)
        cable(space, "eth0", self.nodes[office].space, person)
        self.addCleanup(self.nodes[office].space.ip, "link", "del", "dev", person)
        plug(self.nodes[office].space, "lan", person)
        space.set_up("eth0", f"192.168.{number}.11/24")
        space.default_route(f"192.168.{number}.1")
        phone = Phone(space, "eth0", person, password, DOMAIN, f"192.168.{number}.1:5060", Voices(self.folder), self.folder,
                      f"{self.folder}/logs")
        self.addCleanup(phone.stop)
        return phone

    def call(self, phone, dialled):
        began_s = time.time()
        phone.command("dial", dialled)
        phone.wait_for("CALL_ESTABLISHED", began_s, 15)
        phone.hang_up()
        for node in self.nodes.values():
            wait_until("the end of the call", lambda node=node: not node.ask("calls")["calls"], 5)

    def test_a_carrier_with_a_password_and_a_gateway_that_calls(self):
        states = lambda: {t["name"]: t["state"] for n in self.nodes.values() for t in n.ask("trunks")["trunks"]}
        wait_until("both trunks", lambda: states() == {"carrier": "registered", "gateway": "up"}, 15)
        wait_until("each to hear of the other's", lambda: all(len(n.ask("trunks")["others"]) == 1 for n in self.nodes.values()), 5)
        self.assertNotIn("word-of-trunk", open(f"{self.folder}/logs/a.log", errors="replace").read())

        self.nodes["a"].add_user(f"alice@{DOMAIN}", "word-of-alice", "--node", "b", "--number", "+498912300")
        wait_until("the user to spread", lambda: self.nodes["b"].ask("user", "list")["users"], 5)
        alice = self.phone("b", "alice", "word-of-alice")
        alice.wait_registered()
        # By the other office's trunk, whose carrier asks for its password.
        self.call(alice, f"sip:+442079460148@{DOMAIN}")
        self.assertEqual(self.carrier.called()[-1], f"sip:+442079460148@{CARRIER}")
        answered = [m.text for m in self.carrier.sniffer.sip if m.start == "INVITE" and "Authorization: Digest" in m.text]
        self.assertIn("From: <sip:4711@carrier.example>", answered[-1])
        self.assertIn("P-Asserted-Identity: <sip:+498912300@carrier.example>", answered[-1])
        # By this office's, as its prefix is longer; and for help.
        self.call(alice, f"sip:+390461100@{DOMAIN}")
        self.assertEqual(self.other.called()[-1], f"sip:+390461100@{GATEWAY}")
        self.call(alice, f"sip:112@{DOMAIN}")
        self.assertEqual(self.other.called()[-1], f"sip:112@{GATEWAY}")

        began_s = time.time()
        caller = self.other.call(f"sip:+498912300@{DOMAIN}", "10.0.0.2")
        alice.answer(began_s)
        self.assertEqual(caller.process.wait(10), 0)
        # Out again by the other trunk it may not call.
        self.assertNotEqual(self.other.call(f"sip:+442079460148@{DOMAIN}", "10.0.0.2").process.wait(10), 0)
        self.assertEqual(len(self.carrier.called()), 2, "the call and its repetition with the password")


if __name__ == "__main__":
    harness.main("__main__")
