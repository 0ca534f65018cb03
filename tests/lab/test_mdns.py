#!/usr/bin/python3
"""Members that find each other by mDNS alone: on two LANs, beside Debian's avahi-daemon, by link-local addresses only; and
what a stranger on the LAN learns from all that is sent there."""
import base64
import os
import re
import socket
import threading
import time

import harness
from network import Space, bridge, cable, plug, wait_until
from node import Node, wait_full_mesh

ETH_P_ALL = 3
USER = "alice.of.accounting"


class Ears:
    """All that passes a switch."""

    def __init__(self, space, device):
        self.heard = []
        self.socket = space.inside(lambda: self.open(device))
        threading.Thread(target=self.work, daemon=True).start()

    @staticmethod
    def open(device):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        opened.bind((device, ETH_P_ALL))
        return opened

    def work(self):
        while True:
            try:
                self.heard.append(self.socket.recv(65535))
            except OSError:
                return

    def holds(self, word):
        return any(word in packet for packet in list(self.heard))


class MdnsTest(harness.LabTest):
    def setUp(self):
        super().setUp()
        self.port, self.starts = 51820, 0
        self.switch = Space("switch")
        self.addCleanup(self.switch.remove)
        for lan in ("lan0", "lan1"):
            bridge(self.switch, lan)
        self.a, self.b = self.machine("trento-gateway", 1), self.machine("munich-gateway", 2)

    def machine(self, name, number):
        space = Space(name)
        self.addCleanup(space.remove)
        for lan in (0, 1):
            self.plug_in(space, lan, f"10.0.{lan}.{number}/24")
        node = Node(space, name, self.programs, self.folder, {"voice": {"domain": "secretive.example"}, "port_mapping": False})
        self.addCleanup(self.stop, node)
        return node

    def plug_in(self, space, lan, *addresses):
        cable(space, f"eth{lan}", self.switch, f"{space.name[:6]}{lan}")
        plug(self.switch, f"lan{lan}", f"{space.name[:6]}{lan}")
        space.set_up(f"eth{lan}", *addresses)

    def stop(self, node):
        if node.program and node.program.running():
            node.stop()

    def begin(self):
        for node in (self.a, self.b):
            node.start()
        self.a.ctl("init", "acme-secret-mesh", "--name", self.a.name)
        self.b.join(self.a.invite(self.b.name))
        wait_full_mesh((self.a, self.b), 10, time.monotonic())

    def find_anew(self, what, limit_s=15):
        """Both come back at other ports, so that nothing they remember of each other leads anywhere: there is only mDNS."""
        for node in (self.a, self.b):
            self.assertEqual(node.program.end(), 0)  # interfaces have come and gone meanwhile, so nothing is compared
            self.port += 1
            node.configure({**node.settings, "listen_port": self.port})
        for node in (self.a, self.b):
            node.start()
        self.wait_session(what, limit_s)

    def wait_session(self, what, limit_s=15):
        wait_until(f"both to meet: {what}", lambda: self.b.name in self.a.sessions() and self.a.name in self.b.sessions(), limit_s)

    def endpoint(self, node, of):
        return next(peer["endpoint"] for peer in node.ask("peers")["peers"] if peer["name"] == of.name)

    def start_avahi_daemon(self):
        os.makedirs("/run/avahi-daemon", exist_ok=True)
        path = f"{self.folder}/avahi-daemon.conf"
        with open(path, "w") as file:
            file.write("[server]\nhost-name=officebox\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=no\n"
                       "[publish]\npublish-addresses=yes\npublish-workstation=yes\n")
        self.avahi_log = f"{self.folder}/logs/avahi-daemon.log"
        self.daemon = self.a.space.start(["/usr/sbin/avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", path], self.avahi_log)
        self.starts += 1
        wait_until("avahi-daemon", lambda: self.avahi_said().count("Server startup complete") == self.starts, 10)

    def avahi_said(self):
        with open(self.avahi_log) as file:
            return file.read()

    def test_beside_avahi_daemon_on_two_lans_whatever_happens_to_them(self):
        self.start_avahi_daemon()
        self.begin()
        self.find_anew("beside avahi-daemon")
        self.daemon.end()
        self.find_anew("without it")
        self.start_avahi_daemon()
        self.find_anew("it has come back")
        # One LAN is gone for one of them, at first; it comes back as a new interface; then the other is gone.
        self.b.space.ip("link", "del", "dev", "eth0")
        self.find_anew("eth0 has gone")
        self.plug_in(self.b.space, 0, "10.0.0.77/24")
        self.b.space.ip("link", "set", "dev", "eth1", "down")
        self.wait_session("by the new eth0, at a new address")
        self.a.space.ip("link", "set", "dev", "eth1", "down")
        self.find_anew("by eth0 alone")
        self.assertRegex(self.endpoint(self.a, self.b), r"^(10\.0\.0\.77:|\[fe80::)")
        said = self.avahi_said().lower()
        self.assertNotIn("conflict", said)
        self.assertNotIn("collision", said)
        self.daemon.end()

    def test_with_link_local_addresses_alone(self):
        self.begin()
        for node in (self.a, self.b):
            for lan in (0, 1):
                node.space.ip("-4", "addr", "flush", "dev", f"eth{lan}")
        self.find_anew("by fe80::")
        self.assertTrue(self.endpoint(self.a, self.b).startswith("[fe80::"))

    def test_a_stranger_on_the_lan_learns_neither_mesh_nor_node(self):
        ears = Ears(self.switch, "lan0")
        self.begin()
        self.a.add_user(f"{USER}@secretive.example", "a word of hers", "--node", self.a.name)
        self.find_anew("under a stranger's eyes")
        status = self.a.status()
        secrets = {"acme-secret-mesh", "secretive", USER, "accounting"} | {name for name in [socket.gethostname()] if len(name) > 4}
        for node in (self.a, self.b):
            ours = node.status()["node"]
            secrets |= {ours["name"], *ours["name"].split("-"), *ours["addresses"]}
        keys = {base64.b64decode(text) for node in (self.a, self.b) for text in
                (node.status()["node"]["key"], node.status()["node"]["tunnel_key"], status["mesh"]["id"])}
        for node in (self.a, self.b):
            for address in node.addresses():
                keys.add(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address))
        wait_until("both to be announced", lambda: len(set(re.findall(rb"[a-z2-7]{16}(?=.{0,8}_meshd)", b"".join(ears.heard), re.S))) >= 2, 10)
        everything = b"\0".join(ears.heard)
        self.assertIn(b"_meshd", everything)
        lower = everything.lower()
        for word in secrets:
            self.assertNotIn(word.lower().encode(), lower, word)
        for key in keys:
            for form in (key, key.hex().encode(), base64.b64encode(key).rstrip(b"="), base64.urlsafe_b64encode(key).rstrip(b"="),
                         base64.b32encode(key).rstrip(b"=").lower()):
                if len(form) > 4 or form == key:
                    self.assertFalse(form in everything or form in lower, form)


if __name__ == "__main__":
    harness.main("__main__")
