#!/usr/bin/python3
"""A way to the Internet through another member: whose address is seen, what stays beside the tunnel, what is left."""
import json
import os
import socket
import struct
import threading

import harness
import sandbox
from name_server import NameServer
from network import Failed, Space, cable, wait_until
from node import Node

MS_BIND = 4096
ZONE = "$TTL 1\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A 198.51.100.80\n"
OUTSIDE, OUTSIDE6 = "198.51.100.80", "2001:db8:80::80"


class ExitTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.internet()

    def space(self, name):
        space = Space(name)
        self.addCleanup(space.remove)
        return space

    def internet(self):
        """laptop - home router with a LAN - internet - exit. Outside is a server that says who asked it."""
        self.net, self.laptop_space, self.exit_space, self.lan = (self.space(name) for name in ("internet", "laptop", "exit", "lan"))
        self.net.forward()
        for name, space, number in (("laptop", self.laptop_space, 1), ("exit", self.exit_space, 2)):
            cable(space, "eth0", self.net, name)
            space.set_up("eth0", f"192.0.{number}.2/24", f"2001:db8:{number}::2/64")
            self.net.set_up(name, f"192.0.{number}.1/24", f"2001:db8:{number}::1/64")
            space.default_route(f"192.0.{number}.1", f"2001:db8:{number}::1")
        cable(self.lan, "eth0", self.laptop_space, "lan0")
        self.lan.set_up("eth0", "192.168.5.9/24")
        self.laptop_space.set_up("lan0", "192.168.5.1/24")
        self.net.set_up("lo", OUTSIDE + "/32", OUTSIDE6 + "/128")
        self.exit_space.forward()
        settings = {"mdns": False, "voice": {"enabled": False}}
        self.nodes = {space.name: Node(space, space.name, self.programs, self.folder, settings)
                      for space in (self.exit_space, self.laptop_space)}
        self.exit, self.laptop = self.nodes["exit"], self.nodes["laptop"]
        for node in self.nodes.values():
            self.addCleanup(self.stop, node)
            node.start()
        self.exit.ctl("init", "lab", "--name", "exit", "--exit")
        self.laptop.join(self.exit.invite("laptop"))
        wait_until("the mesh", lambda: self.laptop.sessions() and self.exit.sessions(), 20)
        self.servers = {family: self.who_am_i(address) for family, address in ((4, OUTSIDE), (6, OUTSIDE6))}

    def who_am_i(self, address):
        server = self.net.inside(lambda: socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET))
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    connection, peer = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(peer[0].encode())

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[:2]

    def seen(self, space, family=4):
        """As whom the outside sees us; None if there is no way."""
        def ask():
            try:
                with socket.create_connection(self.servers[family], 2) as connection:
                    connection.settimeout(2)
                    return connection.recv(100).decode()
            except OSError:
                return None
        return space.inside(ask)

    def rules(self):
        return [line for version in "46" for line in self.laptop_space.ip(f"-{version}", "rule").splitlines()
                if line.startswith(("27904:", "27905:"))]

    def tables(self):
        return [entry["table"]["name"] for entry in json.loads(self.exit_space.run("nft", "-j", "list", "tables"))["nftables"]
                if "table" in entry]

    def test_the_laptop_is_seen_as_the_exit_and_nothing_is_left_behind(self):
        self.assertEqual(self.seen(self.laptop_space), "192.0.1.2")
        wait_until("the rules of nft", self.tables, 10)
        self.laptop.ctl("exit", "exit")
        self.assertEqual(len(self.rules()), 4)
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 10)
        self.assertEqual(self.seen(self.laptop_space, 6), "2001:db8:2::2")
        # The LAN stays where it is, and so does the mesh.
        self.assertEqual(self.way("192.168.5.9"), "lan0")
        self.assertIsNotNone(self.lan.ping_ms("192.168.5.1"))
        self.assertIsNotNone(self.laptop_space.ping_ms("192.168.5.9"))
        self.assertIsNotNone(self.laptop_space.ping_ms(self.exit.addresses()[0]))
        self.assertEqual(self.laptop.status()["exit"]["node"], "exit")

        # A crash leaves rules that lead nowhere: nothing goes beside the mesh, until the next start.
        self.laptop.crash()
        self.assertIsNone(self.seen(self.laptop_space))
        self.assertIsNone(self.seen(self.laptop_space, 6))
        self.laptop.start()
        self.assertEqual(self.rules(), [])
        self.assertEqual(self.seen(self.laptop_space), "192.0.1.2")
        self.laptop.ctl("exit", "exit")
        self.laptop.crash()
        self.laptop.configure({**self.laptop.settings, "exit": "exit"})
        self.laptop.start()
        self.assertEqual(len(self.rules()), 4)
        wait_until("the way through the exit again", lambda: self.seen(self.laptop_space) == "192.0.2.2", 20)
        self.laptop.ctl("exit", "off")
        self.assertEqual(self.rules(), [])
        self.assertEqual(self.seen(self.laptop_space), "192.0.1.2")
        self.laptop.ctl("exit", "exit")
        self.laptop.stop()
        self.assertEqual(self.rules(), [])
        self.assertEqual(self.tables(), ["meshd-mesh0"])
        self.exit.crash()
        self.assertEqual(self.tables(), ["meshd-mesh0"])
        self.exit.start()
        self.exit.stop()
        self.assertEqual(self.tables(), [])

    def test_an_exit_leads_to_the_internet_and_not_into_its_lan(self):
        office = self.space("office")
        cable(office, "eth0", self.exit_space, "lan0")
        office.set_up("eth0", "192.168.77.9/24", "2001:db8:77::9/64", "10.99.0.9/32")
        self.exit_space.set_up("lan0", "192.168.77.1/24", "2001:db8:77::1/64")
        self.exit_space.ip("route", "add", "10.99.0.0/24", "via", "192.168.77.9")
        office.default_route("192.168.77.1", "2001:db8:77::1")
        inside = ("192.168.77.9", "10.99.0.9", "2001:db8:77::9")
        for address in inside:
            self.assertIsNotNone(self.exit_space.ping_ms(address))
        self.laptop.ctl("exit", "exit")
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 10)
        for address in inside:
            before = self.exit.status()["counters"].get("drop_bad_destination", 0)
            self.assertIsNone(self.laptop_space.ping_ms(address))
            self.assertGreater(self.exit.status()["counters"].get("drop_bad_destination", 0), before, address)
        # Its own address is for all, as if they came from outside.
        self.assertIsNotNone(self.laptop_space.ping_ms("192.0.2.2"))

    def test_masquerading_that_another_program_flushes_is_put_back_and_told(self):
        self.laptop.ctl("exit", "exit")
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 10)
        for words in ("flush ruleset", "flush chain inet meshd-mesh0 exit"):
            self.exit_space.run("nft", *words.split())
            wait_until(f"the rules after {words}", lambda: self.exit_space.run("nft", "list", "ruleset").count("masquerade") == 2, 10)
            self.assertEqual(self.seen(self.laptop_space), "192.0.2.2")
        wait_until("the warning", lambda: any("another program" in warning and "(2 times" in warning for warning in self.exit.status()["warnings"]), 10)

    def resolver_of_the_laptop(self):
        """As systemd-resolved: it asks the server outside from sockets that know nothing of meshd, and says which that is."""
        os.makedirs("/run/systemd/resolve", exist_ok=True)
        for path, address in (("/run/systemd/resolve/resolv.conf", OUTSIDE), (f"{self.folder}/resolv.conf", "127.0.0.53")):
            with open(path, "w") as file:
                file.write(f"nameserver {address}\n")
        path = os.path.realpath("/etc/resolv.conf")
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "w").close()
        sandbox.mount(f"{self.folder}/resolv.conf", path, "none", MS_BIND)
        front, back = (self.laptop_space.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        front.bind(("127.0.0.53", 53))

        def serve():
            back.settimeout(1)
            while True:
                try:
                    query, asker = front.recvfrom(4096)
                except OSError:
                    return
                try:
                    back.sendto(query, (OUTSIDE, 53))
                    front.sendto(back.recv(4096), asker)
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(front.close)

    def test_an_exit_with_a_dynamic_name_is_found_although_names_are_asked_for_through_it(self):
        server = NameServer(self.net, OUTSIDE, {"e164.arpa": ZONE, "exit.example": ZONE + "@ IN A 192.0.2.2\n"}, {},
                            f"{self.folder}/named", f"{self.folder}/logs")
        server.start()
        self.addCleanup(server.stop)
        self.resolver_of_the_laptop()
        # Both have moved to other ports, so what each remembers of the other leads nowhere.
        self.laptop.stop()
        self.exit.stop()
        self.exit.configure({**self.exit.settings, "listen_port": 51999})
        self.laptop.configure({**self.laptop.settings, "listen_port": 51998, "exit": "exit", "bootstrap": ["exit.example:51999"]})
        self.exit.start()
        self.laptop.start()
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 30)

    def test_what_others_take_away_of_the_way_is_put_back(self):
        self.laptop.ctl("exit", "exit")
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 10)

        def stands():
            return (len(self.rules()) == 4 and self.seen(self.laptop_space) == "192.0.2.2" and
                    self.seen(self.laptop_space, 6) == "2001:db8:2::2")

        addresses = self.laptop.addresses()
        for words in ("rule del priority 27905", "-6 rule del priority 27905", "route flush table 27904", "-6 route flush table 27904",
                      "route flush dev mesh0", "-6 route flush dev mesh0", f"address del {addresses[0]}/32 dev mesh0"):
            self.laptop_space.ip(*words.split())
            wait_until(f"all as before {words}", stands, 10)
        # Down, there is no way at all, and no other one; up, there is again.
        self.laptop_space.ip("link", "set", "mesh0", "down")
        for family in (4, 6):
            self.assertIsNone(self.seen(self.laptop_space, family))
        self.laptop_space.ip("link", "set", "mesh0", "up")
        wait_until("all as before the device was down", stands, 10)
        self.assertIn("have been put back", open(self.laptop.log_path).read())

    def test_an_exit_that_cannot_be_had_keeps_meshd_from_starting(self):
        """All numbers are taken, as far as meshd can see: by other devices that are there."""
        for number in range(4):
            self.laptop_space.ip("route", "add", "unreachable", "default", "table", str(27904 + 2 * number), "proto", "109",
                                 "metric", str(0xff000000 + 1))
        self.assertIsNone(self.laptop.ctl("exit", "exit", check=False))
        self.assertEqual(self.seen(self.laptop_space), "192.0.1.2")
        self.laptop.crash()
        self.laptop.configure({**self.laptop.settings, "exit": "exit"})
        with self.assertRaises(Failed):
            self.laptop.start()
        self.assertIn("other meshds", open(self.laptop.log_path).read())

    def test_ipv6_goes_nowhere_rather_than_beside_the_exit_where_the_device_has_none_and_status_says_so(self):
        self.assertEqual(self.seen(self.laptop_space, 6), "2001:db8:1::2")
        self.laptop_space.run("sysctl", "-q", "-w", "net.ipv6.conf.mesh0.disable_ipv6=1")
        self.laptop.ctl("exit", "exit")
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 10)
        self.assertIsNone(self.seen(self.laptop_space, 6))
        self.assertTrue(any("IPv6" in warning for warning in self.laptop.status()["warnings"]))

    def way(self, address):
        return self.laptop_space.ip("route", "get", address).partition(" dev ")[2].partition(" ")[0]

    def test_what_meshd_sends_never_enters_its_own_device(self):
        seen, ended = [], threading.Event()
        tap = self.laptop_space.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        self.addCleanup(tap.close)
        tap.bind(("mesh0", 0))
        tap.settimeout(0.1)

        def watch():
            while not ended.is_set():
                try:
                    packet = tap.recv(70000)
                except TimeoutError:
                    continue
                header = (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40
                protocol = packet[9] if packet[0] >> 4 == 4 else packet[6]
                if protocol == 17 and 51820 in struct.unpack("!HH", packet[header:header + 4]):
                    seen.append(packet)

        watcher = threading.Thread(target=watch)
        watcher.start()
        self.laptop.ctl("exit", "exit")
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 10)
        # With the session gone, handshakes go where the endpoints are, also while the default route leads into the mesh.
        self.exit.stop()
        self.assertIsNone(self.seen(self.laptop_space))  # and nothing goes out beside the tunnel
        self.exit.start()
        wait_until("the way through the exit again", lambda: self.seen(self.laptop_space) == "192.0.2.2", 30)
        ended.set()
        watcher.join()
        self.assertEqual(seen, [])
        self.assertEqual(self.laptop.status()["counters"].get("drop_underlay_loop", 0), 0)

    def test_a_loop_that_somebody_makes_is_cut_at_once(self):
        self.laptop.ctl("exit", "exit")
        wait_until("the way through the exit", lambda: self.seen(self.laptop_space) == "192.0.2.2", 10)
        # A person's rule that knows nothing of marks.
        for words in (("rule", "add", "priority", "100", "lookup", "27904"),):
            self.laptop_space.ip(*words)
        wait_until("the loop to be seen", lambda: self.laptop.status()["counters"].get("drop_underlay_loop", 0) > 0, 20)
        self.laptop_space.ip("rule", "del", "priority", "100")
        wait_until("the way through the exit again", lambda: self.seen(self.laptop_space) == "192.0.2.2", 30)

    def test_an_exit_that_is_none_is_refused_or_told(self):
        self.assertIsNone(self.exit.ctl("exit", "laptop", check=False))
        self.assertIsNone(self.laptop.ctl("exit", "nobody", check=False))
        self.laptop.configure({**self.laptop.settings, "exit": "nobody"})
        self.laptop.stop()
        self.laptop.start()
        self.assertTrue(any("nobody" in warning for warning in self.laptop.status()["warnings"]))
        self.assertIsNone(self.seen(self.laptop_space))  # what should go through it does not go elsewhere
        self.laptop.ctl("exit", "off")
        self.assertEqual(self.seen(self.laptop_space), "192.0.1.2")


if __name__ == "__main__":
    harness.main("__main__")
