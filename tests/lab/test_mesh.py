#!/usr/bin/python3
"""Meshes of real daemons: bad lines, revocation, absence, tokens, stock peers."""
import hashlib
import socket
import threading
import time

import harness
from network import Failed, Wire, wait_until
from node import wait_full_mesh
from wireguard import StockPeer


class MeshTest(harness.NodesTest):
    def test_a_mesh_comes_up_and_carries_tcp_over_bad_lines(self):
        def bad_line(space, number):
            wire = Wire(f"{self.programs}/tests/lab/wire", space, "eth0", self.switch, space.name,
                        f"{self.folder}/wire-{space.name}.log", seed=number)
            wire.set("both delay 15", "both jitter 5", "both loss 5", "both reorder 2")

        nodes = self.machines("a", "b", "c", link=bad_line)
        self.mesh(nodes)
        server = nodes["b"].space.start(["iperf3", "-s", "-1"], f"{self.folder}/iperf3.log")
        wait_until("iperf3", lambda: "5201" in nodes["b"].space.run("ss", "-Htln"), 5)
        nodes["a"].space.run("iperf3", "-c", nodes["b"].addresses()[0], "-n", "1M", timeout_s=60)
        server.process.wait(5)

    def test_two_queues_carry_connections_both_ways_and_lose_nothing(self):
        nodes = self.machines("a", "b")
        for node in nodes.values():
            node.configure({**node.settings, "data": {"queues": 2}})
        self.mesh(nodes)
        a, b = nodes.values()
        for node in (a, b):
            self.assertEqual(node.status()["data"]["queues"], {"out": 2, "in": 2})
        for far in b.addresses():
            self.assertIn(" 20 received", a.space.run("ping", "-n", "-q", "-c", "20", "-i", "0.02", "-W", "5", far))
        connections = [self.connection(*ends, address)
                       for ends in ((a, b), (b, a)) for address in ends[1].addresses() for _ in range(4)]
        for connection in connections:
            connection.join(60)
        self.assertEqual([connection.got for connection in connections], [connection.sent for connection in connections])
        for node in (a, b):
            counters = node.status()["counters"]
            for reason in ("replayed", "not_authentic", "expired_session", "bad_inner_packet", "device_error"):
                self.assertEqual(counters.get(f"drop_{reason}", 0), 0, reason)

    @staticmethod
    def connection(sender, receiver, address):
        """A thread in which a TCP connection carries 8 MB: digests of what was `sent` and `got`."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = receiver.space.inside(lambda: socket.create_server((address, 0), family=family))
        client = sender.space.inside(lambda: socket.create_connection(server.getsockname()[:2], 20))
        accepted, _ = server.accept()
        server.close()
        data = bytes(range(251)) * 32_000

        def send():
            with client:
                client.sendall(data)

        def work():
            got, sending = hashlib.sha256(), threading.Thread(target=send)
            sending.start()
            accepted.settimeout(30)
            with accepted:
                while piece := accepted.recv(1 << 18):
                    got.update(piece)
            sending.join()
            thread.got = got.hexdigest()

        thread = threading.Thread(target=work)
        thread.sent, thread.got = hashlib.sha256(data).hexdigest(), None
        thread.start()
        return thread

    def test_a_member_that_moves_is_followed_though_its_network_never_rests(self):
        nodes = self.machines("a", "b")
        self.mesh(nodes)
        a, b = nodes.values()
        restless = b.space.start(["sh", "-c", "while :; do ip addr add 10.99.0.1/32 dev lo; ip addr del 10.99.0.1/32 dev lo; done"],
                                 f"{self.folder}/logs/restless.log")
        # What it finds at its end must be what it found at its start.
        for device, address in (("lo", "10.99.0.1/32"), ("eth0", "10.0.0.77/24")):
            self.addCleanup(b.space.ip, "addr", "flush", "dev", device, "to", address)
        self.addCleanup(restless.kill)
        b.space.ip("addr", "del", "10.0.0.2/24", "dev", "eth0")
        b.space.ip("addr", "add", "10.0.0.77/24", "dev", "eth0")
        wait_until("a to follow", lambda: any(peer["endpoint"] == "10.0.0.77:51820" for peer in a.ask("peers")["peers"]), 10)
        wait_until("b's record", lambda: b.status()["node"]["endpoints"] == ["10.0.0.77:51820"], 10)

    def test_a_revoked_member_is_out_at_once_and_stays_out(self):
        nodes = self.machines("a", "b", "c")
        self.mesh(nodes)
        nodes["a"].ctl("revoke", "c")
        for node in (nodes["a"], nodes["b"]):
            wait_until(f"the end of {node.name}'s session with c", lambda node=node: "c" not in node.sessions(), 5)
        address = nodes["b"].addresses()[0]
        self.assertIsNone(nodes["c"].space.ping_ms(address))
        for node in nodes.values():
            node.stop()
            node.start()
        wait_full_mesh((nodes["a"], nodes["b"]), 10, time.monotonic())
        self.assertIsNone(nodes["c"].space.ping_ms(address, wait_s=2))
        self.assertNotIn("c", nodes["a"].sessions() | nodes["b"].sessions())

    def test_a_node_that_was_away_catches_up(self):
        nodes = self.machines("a", "b", "c")
        a, b, c = nodes.values()
        a.start()
        b.start()
        a.ctl("init", "lab", "--name", "a")
        b.join(a.invite("b"))
        wait_full_mesh((a, b), 10, time.monotonic())
        b.stop()
        c.start()
        c.join(a.invite("c"))
        wait_full_mesh((a, c), 10, time.monotonic())
        a.stop()  # only c can tell b that there is a c
        b.start()
        wait_full_mesh((b, c), 30, time.monotonic())
        self.assertEqual(b.members(), c.members())

    def test_a_token_admits_one_newcomer_and_a_spoilt_one_nobody(self):
        nodes = self.machines("a", "b", "c")
        for node in nodes.values():
            node.start()
        nodes["a"].ctl("init", "lab", "--name", "a")
        token = nodes["a"].invite("b")
        spoilt = token[:-5] + ("a" if token[-5] != "a" else "b") + token[-4:]
        with self.assertRaises(Failed):
            nodes["c"].join(spoilt)
        nodes["b"].join(token)
        members = nodes["a"].members()
        with self.assertRaises(Failed):
            nodes["c"].join(token)
        self.assertEqual(nodes["a"].members(), members)

    def test_a_stock_peer_is_initiator_and_responder(self):
        nodes = self.machines("a", "visitor")
        a, visitor = nodes["a"], nodes["visitor"].space
        a.start()
        a.ctl("init", "lab", "--name", "a")
        configuration = a.ctl("stock", "visitor").replace("[Interface]", "[Interface]\nListenPort = 4711", 1)
        configuration = "\n".join(line for line in configuration.splitlines() if "Keepalive" not in line)
        stock = StockPeer(visitor, "wg0", configuration, self.folder)
        wait_until("the stock peer's ping", lambda: visitor.ping_ms(a.addresses()[0]) is not None, 10)
        # It forgets its session and says nothing: now it is for meshd to shake hands.
        stock.stop()
        stock = StockPeer(visitor, "wg1", configuration, self.folder)
        address = next(m for m in a.ask("members")["members"] if m["name"] == "visitor")["addresses"]
        address = next(text for text in address if ":" not in text)
        wait_until("meshd's ping", lambda: a.space.ping_ms(address) is not None, 40)
        stock.stop()


if __name__ == "__main__":
    harness.main("__main__")
