#!/usr/bin/python3
"""Lines that take less than the device's MTU asks for: a hotel's, and those that say nothing of it."""
import socket
import subprocess
import threading

import harness
from network import Space, cable, wait_until
from node import Node

BYTES = 2_000_000
AROUND = 20 + 8 + 32  # of IPv4, UDP and WireGuard


class MtuTest(harness.NodesTest):
    def line(self, mtu_bytes, silent=False):
        """a - near - far - b: the line between the two routers is small, those of a and b are not. `silent`: the routers
        do not say "fragmentation needed"."""
        a, near, far, b = (self.space(name) for name in ("a", "near", "far", "b"))
        for left, right, number, mtu in ((a, near, 1, 1500), (near, far, 2, mtu_bytes), (far, b, 3, 1500)):
            cable(left, f"to{right.name}", right, f"to{left.name}", mtu)
            left.set_up(f"to{right.name}", f"10.0.{number}.1/24")
            right.set_up(f"to{left.name}", f"10.0.{number}.2/24")
        a.default_route("10.0.1.2")
        near.default_route("10.0.2.2")
        far.default_route("10.0.2.1")
        b.default_route("10.0.3.1")
        for router in (near, far):
            router.forward()
            if silent:  # neither their own ICMP nor that of others passes them
                router.ip("rule", "add", "ipproto", "icmp", "blackhole")
        nodes = {space.name: Node(space, space.name, self.programs, self.folder, {"mdns": False, "voice": {"enabled": False}})
                 for space in (a, b)}
        for node in nodes.values():
            self.addCleanup(self.stop, node)
        self.mesh(nodes)
        return nodes["a"], nodes["b"]

    def space(self, name):
        space = Space(name)
        self.addCleanup(space.remove)
        return space

    @staticmethod
    def mtu(node, name):
        return {peer["name"]: peer["mtu"] for peer in node.ask("peers")["peers"]}[name]

    def tcp(self, sender, receiver, address):
        """A transfer of BYTES; the MSS that the connection had at its end."""
        server = receiver.space.inside(lambda: socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address
                                                                    else socket.AF_INET))
        server.settimeout(20)
        got = []

        def take():
            connection, _ = server.accept()
            connection.settimeout(20)
            with connection:
                while piece := connection.recv(65536):
                    got.append(len(piece))

        thread = threading.Thread(target=take)
        thread.start()
        client = sender.space.inside(lambda: socket.create_connection(server.getsockname()[:2], 20))
        with client:
            client.sendall(bytes(BYTES))
            mss = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        thread.join(60)
        server.close()
        self.assertEqual(sum(got), BYTES)
        return mss

    def check(self, mtu_bytes, silent):
        a, b = self.line(mtu_bytes, silent)
        for node, other in ((a, "b"), (b, "a")):
            wait_until(f"the MTU of {node.name}'s path", lambda: self.mtu(node, other) == mtu_bytes - AROUND, 15)
        v4, v6 = b.addresses()
        self.assertIsNotNone(a.space.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "dont", "-s", "1372", v4,
                                         check=False), "a ping of 1400 bytes that may be fragmented")
        self.assertLessEqual(self.tcp(a, b, v4), mtu_bytes - AROUND - 40)
        self.assertLessEqual(self.tcp(b, a, a.addresses()[1]), mtu_bytes - AROUND - 60)
        return a, b

    def test_the_line_of_a_hotel(self):
        a, b = self.check(1124, silent=False)
        v4, v6 = b.addresses()
        for address, told in ((v4, 1064), (v6, 1280)):
            a.space.run("ip", "route", "flush", "cache")
            done = subprocess.run(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-M", "do", "-s", "1300", address],
                                  capture_output=True, text=True, timeout=20, preexec_fn=a.space.enter_in_child)
            self.assertRegex(done.stdout + done.stderr, rf"(?i)mtu ?= ?{told}\b")
        self.assertGreater(a.status()["counters"]["drop_path_mtu"], 0)

    def test_a_line_that_swallows_what_is_too_large(self):
        self.check(1000, silent=True)

    def test_a_line_of_576_bytes(self):
        self.check(576, silent=False)

    def test_a_line_that_becomes_smaller_while_it_is_used(self):
        a, b = self.line(1500)
        wait_until("the MTU of the path", lambda: self.mtu(a, "b") == 1420, 10)
        for name, device in (("near", "tofar"), ("far", "tonear")):
            subprocess.run(["ip", "-n", name, "link", "set", device, "mtu", "1200"], check=True)
        ping = a.space.start(["ping", "-n", "-q", "-i", "0.2", "-s", "900", b.addresses()[0]], f"{self.folder}/logs/ping.log")
        try:
            wait_until("the smaller MTU", lambda: self.mtu(a, "b") == 1200 - AROUND, 40, step_s=0.5)
        finally:
            ping.kill()


if __name__ == "__main__":
    harness.main("__main__")
