#!/usr/bin/python3
"""Lines that take less than the device's MTU asks for: a hotel's, and those that say nothing of it."""
import contextlib
import socket
import struct
import subprocess
import threading

import harness
from network import Space, cable, wait_until
from node import Node

BYTES = 2_000_000
AROUND, AROUND6 = 20 + 8 + 32, 40 + 8 + 32  # of IPv4 or IPv6, UDP and WireGuard
PORT = 51820


class MtuTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.spaces = {}

    def line(self, mtu_bytes, silent=False, v6=False):
        """a - near - far - b: the line between the two routers is small, those of a and b are not. `silent`: the routers
        do not say "fragmentation needed" or "packet too big". `v6`: all of it is of IPv6, whose routers make no
        fragments."""
        network = "fd00:0:0:{}::{}/64" if v6 else "10.0.{}.{}/24"

        def gateway(number, host):
            return network.format(number, host).partition("/")[0]

        a, near, far, b = (self.space(name) for name in ("a", "near", "far", "b"))
        for left, right, number, mtu in ((a, near, 1, 1500), (near, far, 2, mtu_bytes), (far, b, 3, 1500)):
            cable(left, f"to{right.name}", right, f"to{left.name}", mtu)
            left.set_up(f"to{right.name}", network.format(number, 1))
            right.set_up(f"to{left.name}", network.format(number, 2))
        a.default_route(gateway(1, 2))
        near.default_route(gateway(2, 2))
        far.default_route(gateway(2, 1))
        b.default_route(gateway(3, 1))
        for router in (near, far):
            router.forward()
            if silent:  # neither their own ICMP nor that of others passes them
                router.ip(*("-6", "rule", "add", "ipproto", "ipv6-icmp", "blackhole") if v6 else
                          ("rule", "add", "ipproto", "icmp", "blackhole"))
        nodes = {space.name: Node(space, space.name, self.programs, self.folder, {"mdns": False, "voice": {"enabled": False}})
                 for space in (a, b)}
        for node in nodes.values():
            self.addCleanup(self.stop, node)
        self.mesh(nodes)
        return nodes["a"], nodes["b"]

    def space(self, name):
        space = self.spaces[name] = Space(name)
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

    def check(self, mtu_bytes, silent, v6=False):
        a, b = self.line(mtu_bytes, silent, v6)
        inner_bytes = mtu_bytes - (AROUND6 if v6 else AROUND)
        for node, other in ((a, "b"), (b, "a")):
            wait_until(f"the MTU of {node.name}'s path", lambda: self.mtu(node, other) == inner_bytes, 15)
        self.assertLessEqual(self.tcp(a, b, b.addresses()[0]), inner_bytes - 40)
        self.assertLessEqual(self.tcp(b, a, a.addresses()[1]), inner_bytes - 60)
        return a, b

    def check_fragments(self, a, b):
        """Packets larger than the path: one that may be fragmented, and the largest that IPv6 promises to carry."""
        for address, size in zip(b.addresses(), (1372, 1232)):
            self.assertIsNotNone(a.space.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "dont", "-s", str(size),
                                             address, check=False), f"a ping of {size} bytes to {address}")

    def test_the_line_of_a_hotel(self):
        a, b = self.check(1124, silent=False)
        self.check_fragments(a, b)
        v4, v6 = b.addresses()
        for address, told in ((v4, 1064), (v6, 1280)):
            a.space.run("ip", "route", "flush", "cache")
            done = subprocess.run(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-M", "do", "-s", "1300", address],
                                  capture_output=True, text=True, timeout=20, preexec_fn=a.space.enter_in_child)
            self.assertRegex(done.stdout + done.stderr, rf"(?i)mtu ?= ?{told}\b")
        self.assertGreater(a.status()["counters"]["drop_path_mtu"], 0)

    def test_a_line_that_swallows_what_is_too_large(self):
        self.check_fragments(*self.check(1000, silent=True))

    def test_a_line_of_576_bytes(self):
        self.check_fragments(*self.check(576, silent=False))

    def test_the_smallest_line_of_ipv6(self):
        self.check_fragments(*self.check(1280, silent=False, v6=True))

    def test_a_line_of_ipv6_that_swallows_what_is_too_large(self):
        self.check(1280, silent=True, v6=True)

    def test_a_line_of_ipv6_that_becomes_smaller_under_a_connection(self):
        a, b = self.line(1500, v6=True)
        wait_until("the MTU of the path", lambda: self.mtu(a, "b") == 1420, 10)
        with self.flow(a, b) as arrived:
            wait_until("the connection", lambda: arrived() > BYTES, 10)
            self.narrow(1280)
            wait_until("the smaller MTU", lambda: self.mtu(a, "b") == 1280 - AROUND6, 20, step_s=0.1)
            before = arrived()
            wait_until("the connection to go on", lambda: arrived() > before + BYTES, 20)

    def test_a_forged_packet_too_big_costs_nothing_for_long(self):
        a, b = self.line(1500, v6=True)
        wait_until("the MTU of the path", lambda: self.mtu(a, "b") == 1420, 10)
        far = "fd00:0:0:3::2"
        self.forge_too_big(a, "fd00:0:0:1::1", far, 1280)
        self.assertIn("mtu 1280", a.space.ip("-6", "route", "get", far), "this kernel does not believe it")

        def fragments_of_a_transfer():
            before = self.fragments(a.space)
            self.tcp(a, b, b.addresses()[0])
            return self.fragments(a.space) - before

        wait_until("a transfer in whole datagrams", lambda: fragments_of_a_transfer() == 0, 15, step_s=0.1)
        self.assertIn("mtu 1280", a.space.ip("-6", "route", "get", far), "the kernel believes it no longer")
        self.assertEqual(self.mtu(a, "b"), 1420)
        self.assertNotIn("drop_socket_error", a.status()["counters"])

    def forge_too_big(self, node, source, far, mtu_bytes):
        """RFC 4443 section 3.2, from the router beside the node, about a datagram that nobody sent."""
        inside = struct.pack("!IHBB", 0x60000000, 1408, socket.IPPROTO_UDP, 63)
        inside += socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, far)
        message = struct.pack("!BBHI", 2, 0, 0, mtu_bytes) + inside + struct.pack("!HHHH", PORT, PORT, 1408, 0) + bytes(64)
        router = self.spaces["near"]
        with router.inside(lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)) as forger:
            forger.sendto(message, (source, 0))  # the kernel adds the checksum
        wait_until("the forged message", lambda: "mtu" in node.space.ip("-6", "route", "get", far), 5)

    @staticmethod
    def fragments(space):
        return int(next(line for line in space.run("cat", "/proc/net/snmp6").splitlines() if "FragCreates" in line).split()[1])

    @staticmethod
    def narrow(mtu_bytes):
        for name, device in (("near", "tofar"), ("far", "tonear")):
            subprocess.run(["ip", "-n", name, "link", "set", device, "mtu", str(mtu_bytes)], check=True)

    @contextlib.contextmanager
    def flow(self, sender, receiver):
        """TCP for as long as the block runs; gives a function that tells how much has arrived."""
        server = receiver.space.inside(lambda: socket.create_server((receiver.addresses()[0], 0)))
        client = sender.space.inside(lambda: socket.create_connection(server.getsockname()[:2], 20))
        connection, _ = server.accept()
        arrived, ended = [0], threading.Event()

        def send():
            with contextlib.suppress(OSError):
                while not ended.wait(0.001):
                    client.sendall(bytes(20000))

        def take():
            while piece := connection.recv(65536):
                arrived[0] += len(piece)

        threads = [threading.Thread(target=work) for work in (send, take)]
        for thread in threads:
            thread.start()
        try:
            yield lambda: arrived[0]
        finally:
            ended.set()
            for end in (client, connection):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(20)
            for end in (client, connection, server):
                end.close()

    def test_a_line_that_becomes_smaller_while_it_is_used(self):
        a, b = self.line(1500)
        wait_until("the MTU of the path", lambda: self.mtu(a, "b") == 1420, 10)
        self.narrow(1200)
        ping = a.space.start(["ping", "-n", "-q", "-i", "0.2", "-s", "900", b.addresses()[0]], f"{self.folder}/logs/ping.log")
        try:
            wait_until("the smaller MTU", lambda: self.mtu(a, "b") == 1200 - AROUND, 40, step_s=0.5)
        finally:
            ping.kill()


if __name__ == "__main__":
    harness.main("__main__")
