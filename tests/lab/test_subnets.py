#!/usr/bin/python3
"""LANs behind gateways: one that exists twice, one with two gateways, one that is attached here, too."""
import socket

import harness
from network import Space, cable, wait_until

TWIN = "192.168.1.0/24"


class SubnetsTest(harness.NodesTest):
    def offices(self, subnets, **settings):
        """{name: Node} in one mesh; `subnets` of each. `settings`: what else each configuration says."""
        nodes = self.machines(*subnets)
        for node in nodes.values():
            node.configure({**node.settings, **settings.get(node.name, {})})
            node.space.forward()
        for node in nodes.values():
            node.start()
        first, *others = nodes.values()
        options = {name: [word for subnet in given for word in ("--subnet", subnet)] for name, given in subnets.items()}
        first.ctl("init", "lab", "--name", first.name, *options[first.name])
        for node in others:
            node.join(first.invite(node.name, *options[node.name]))
        wait_until("a full mesh", lambda: all(len(node.sessions()) == len(nodes) - 1 for node in nodes.values()), 20)
        return nodes

    def desk(self, node, *addresses, gateways=()):
        """A machine on the LAN behind a node; its address first, the node's second, of each pair."""
        desk = Space(f"{node.name}-desk")
        self.addCleanup(desk.remove)
        cable(desk, "eth0", node.space, "lan0")
        for ours, theirs in addresses:
            desk.set_up("eth0", ours)
            node.space.set_up("lan0", theirs)
        desk.default_route(*gateways)
        return desk

    def server(self, space, address, kind=socket.SOCK_STREAM):
        listener = space.inside(lambda: socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind))
        self.addCleanup(listener.close)
        listener.settimeout(20)
        listener.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        return listener

    def test_two_offices_with_one_and_the_same_lan(self):
        mapped = {"a": {"subnets": [{"lan": TWIN, "as": "10.201.1.0/24"}, {"lan": "fd01::/64", "as": "fd01:a::/64"}]},
                  "b": {"subnets": [{"lan": TWIN, "as": "10.202.1.0/24"}, {"lan": "fd01::/64", "as": "fd01:b::/64"}]}}
        nodes = self.offices({"a": ["10.201.1.0/24", "fd01:a::/64"], "b": ["10.202.1.0/24", "fd01:b::/64"]}, **mapped)
        desks = [self.desk(node, ("192.168.1.7/24", "192.168.1.1/24"), ("fd01::7/64", "fd01::1/64"),
                           gateways=("192.168.1.1", "fd01::1")) for node in nodes.values()]
        wait_until("a way there and back", lambda: desks[0].ping_ms("10.202.1.7") is not None, 15)
        for far in ("10.202.1.7", "fd01:b::7", "10.202.1.1", "10.201.1.7"):
            # In fragments, too; 10.201.1.7 is its own name.
            for size in ("56", "4000"):
                if ":" in far:  # the first of each end are told the MTU of the path
                    desks[0].run("ping", "-n", "-c", "4", "-i", "0.2", "-W", "1", "-s", size, far, check=False)
                self.assertIn(" 2 received", desks[0].run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", "-s", size, far))
        for near, far, seen, lan in (("192.168.1.7", "10.202.1.7", "10.201.1.7", "192.168.1.7"), ("fd01::7", "fd01:b::7", "fd01:a::7", "fd01::7")):
            self.check_tcp(desks, near, far, seen, lan)
            self.check_udp_and_its_errors(desks, far, seen, lan)
        for node in nodes.values():
            counters = node.status()["counters"]
            for reason in ("bad_source", "bad_inner_packet"):
                self.assertEqual(counters.get(f"drop_{reason}", 0), 0, reason)
            self.assertEqual(node.status()["warnings"], [])

    def check_tcp(self, desks, near, far, seen, lan):
        """Megabytes both ways, in superpackets where the kernel has them."""
        listener = self.server(desks[1], lan)
        client = desks[0].inside(lambda: socket.create_connection((far, listener.getsockname()[1]), 20))
        accepted, peer = listener.accept()
        self.assertEqual((accepted.getsockname()[0], peer[0], client.getsockname()[0]), (lan, seen, near))
        data = bytes(range(256)) * 8000
        for sender, receiver in ((client, accepted), (accepted, client)):
            sender.settimeout(20)
            receiver.settimeout(20)
            got = bytearray()
            sender.setblocking(False)
            left = memoryview(data)
            while len(got) < len(data):
                if left:
                    try:
                        left = left[sender.send(left):]
                    except BlockingIOError:
                        pass
                receiver.settimeout(0.01 if left else 20)
                try:
                    got += receiver.recv(1 << 20)
                except TimeoutError:
                    pass
            self.assertEqual(bytes(got), data)
            sender.setblocking(True)
        client.close()
        accepted.close()

    def check_udp_and_its_errors(self, desks, far, seen, lan):
        listener = self.server(desks[1], lan, socket.SOCK_DGRAM)
        port = listener.getsockname()[1]
        client = desks[0].inside(lambda: socket.socket(listener.family, socket.SOCK_DGRAM))
        self.addCleanup(client.close)
        client.settimeout(5)
        client.connect((far, port))
        client.send(b"hello")
        data, peer = listener.recvfrom(100)
        self.assertEqual((data, peer[0]), (b"hello", seen))
        listener.sendto(b"you", peer)
        self.assertEqual(client.recv(100), b"you")
        # Nobody there: the far machine's ICMP quotes what it got, and the kernel here knows its own packet in that.
        listener.close()
        client.send(b"hello")
        with self.assertRaises(ConnectionRefusedError):
            client.recv(100)

    def test_a_mapping_that_the_mesh_does_not_allow_is_told(self):
        nodes = self.offices({"a": ["10.201.1.0/24"]}, a={"subnets": [{"lan": TWIN, "as": "10.203.1.0/24"}]})
        self.assertTrue(any("10.203.1.0/24" in warning and "--subnet" in warning for warning in nodes["a"].status()["warnings"]))

    def test_the_second_gateway_takes_over_and_a_dead_lan_is_withdrawn(self):
        subnet = "192.168.2.0/24"
        nodes = self.offices({"a": [], "b": [subnet], "c": [subnet]})
        a, b, c = nodes.values()
        lan = Space("lan")
        self.addCleanup(lan.remove)
        lan.ip("link", "add", "lan", "type", "bridge")
        lan.set_up("lan", "192.168.2.9/24")
        for number, node in enumerate((b, c), 2):
            cable(node.space, "lan0", lan, node.name)
            lan.ip("link", "set", "dev", node.name, "master", "lan", "up")
            node.space.set_up("lan0", f"192.168.2.{number}/24")
        # Whichever gateway it goes through, c has this address: one way or the other, an answer means a way.
        routed = {"b": "192.168.2.3", "c": "192.168.2.2"}

        def reached(through):
            peer = {peer["name"]: peer for peer in a.ask("peers")["peers"]}[through]
            before = peer["tx_bytes"]
            a.space.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-s", "1200", routed[through], check=False)
            after = {peer["name"]: peer for peer in a.ask("peers")["peers"]}[through]["tx_bytes"]
            return after - before > 3000

        wait_until("a way to the LAN", lambda: reached("b") or reached("c"), 15)
        first, second = (b, c) if reached("b") else (c, b)
        lan.ip("link", "set", "dev", first.name, "down")
        wait_until("the LAN through the other, as the first has no carrier", lambda: reached(second.name), 10)
        lan.ip("link", "set", "dev", first.name, "up")
        wait_until("the first's offer", lambda: "offered to the mesh again" in open(first.log_path).read(), 10)
        self.assertTrue(reached(second.name))  # it stays there
        second.crash()
        wait_until("the LAN through the first, as the second is dead", lambda: reached(first.name), 20)

    def test_an_attached_network_wins_also_one_that_comes_later(self):
        subnets = ["192.168.5.0/24", "192.168.64.0/20", "fd05::/64"]
        nodes = self.offices({"a": [], "b": subnets})
        a = nodes["a"].space

        def device(address):
            return (a.ip("route", "get", address, check=False) or "").partition(" dev ")[2].partition(" ")[0]

        inside = ("192.168.5.9", "192.168.64.9", "fd05::9")
        wait_until("the routes through the mesh", lambda: all(device(one) == "mesh0" for one in inside), 15)
        a.ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
        a.ip("link", "set", "lan1", "up")
        # The same, a part, and one that is larger than the mesh's.
        a.set_up("lan0", "192.168.5.1/24", "192.168.65.1/24", "fd05::1/48")
        for one in ("192.168.5.9", "192.168.65.9", "fd05::9", "fd05:0:0:1::9"):
            wait_until(f"{one} on the LAN", lambda one=one: device(one) == "lan0", 10)
        self.assertEqual(device("192.168.64.9"), "mesh0")
        a.ip("link", "del", "lan0")
        wait_until("the routes through the mesh again", lambda: all(device(one) == "mesh0" for one in inside), 10)


if __name__ == "__main__":
    harness.main("__main__")
