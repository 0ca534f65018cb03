#!/usr/bin/python3
"""A laptop in a hotel that lets no UDP out: it reaches its offices by TLS on port 443, straight or through the proxy."""
import os
import socket
import threading
import time

import harness
from network import Space, bridge, cable, plug, wait_until
from node import Node
from traffic import Stream

BACK_LIMIT_S = 60  # several tries by UDP, 5 s each, come first
BULK_BYTES = 3_000_000
VOICE_S = 3
PROXY_PORT = 8888


class StreamsTest(harness.NodesTest):
    """rome - switch - oslo, and a laptop behind the hotel's router on the same switch. Rome listens on port 443."""

    def setUp(self):
        super().setUp()
        self.switch, self.hotel, rome, oslo, laptop = (self.space(name) for name in ("switch", "hotel", "rome", "oslo", "laptop"))
        bridge(self.switch, "lan")
        for space, address in ((rome, "10.0.0.1/24"), (oslo, "10.0.0.2/24"), (self.hotel, "10.0.0.3/24")):
            cable(space, "eth0", self.switch, space.name)
            plug(self.switch, "lan", space.name)
            space.set_up("eth0", address)
        cable(laptop, "eth0", self.hotel, "rooms")
        laptop.set_up("eth0", "10.0.1.1/24")
        self.hotel.set_up("rooms", "10.0.1.254/24")
        laptop.default_route("10.0.1.254")
        for office in (rome, oslo):
            office.default_route("10.0.0.3")
        self.hotel.forward()
        self.hotel.run("nft", "add", "table", "inet", "hotel")
        self.hotel.run("nft", "add chain inet hotel passing { type filter hook forward priority 0; }")
        self.nodes = {}
        for space in (rome, oslo, laptop):
            settings = {"mdns": False, "voice": {"enabled": False}, "streams": {"proxy": "none"}}
            if space is rome:
                settings["streams"]["listen"] = ["0.0.0.0:443"]
            self.nodes[space.name] = Node(space, space.name, self.programs, self.folder, settings)
            self.addCleanup(self.stop, self.nodes[space.name])
        self.rome, self.oslo, self.laptop = self.nodes.values()

    def space(self, name):
        space = Space(name)
        self.addCleanup(space.remove)
        return space

    def block(self, what):
        self.hotel.run("nft", f"add rule inet hotel passing {what} drop")

    def wait_for(self, office, limit_s=BACK_LIMIT_S):
        address = office.addresses()[0]
        wait_until(f"{office.name} to answer the laptop", lambda: self.laptop.space.ping_ms(address) is not None, limit_s)

    def by_udp(self, office):
        """Whether the laptop has that office by UDP."""
        peer = next(peer for peer in self.laptop.ask("peers")["peers"] if peer["name"] == office.name)
        return peer["state"] == "session" and (peer.get("endpoint") or "").endswith(":51820")

    def bulk(self, sender, receiver):
        """Seconds for BULK_BYTES by TCP through the mesh."""
        address = receiver.addresses()[0]
        server = receiver.space.inside(lambda: socket.create_server((address, 0)))
        server.settimeout(30)
        got = []

        def take():
            connection, _ = server.accept()
            connection.settimeout(60)
            with connection:
                while piece := connection.recv(65536):
                    got.append(len(piece))

        thread = threading.Thread(target=take)
        thread.start()
        client = sender.space.inside(lambda: socket.create_connection(server.getsockname(), 30))
        began = time.monotonic()
        with client:
            client.settimeout(60)
            client.sendall(bytes(BULK_BYTES))
        thread.join(90)
        server.close()
        self.assertEqual(sum(got), BULK_BYTES)
        return time.monotonic() - began

    def voice_beside_bulk(self, sender, receiver):
        """A call's packets go through, whatever fills the stream beside them."""
        self.a, self.b, self.far = sender.space, receiver.space, receiver.addresses()[0]
        stream = Stream(self)
        done = threading.Event()

        def fill():
            while not done.is_set():
                self.bulk(sender, receiver)

        filler = threading.Thread(target=fill)
        filler.start()
        try:
            sent, arrived = stream.send("voice", self.far, 4000, VOICE_S, seconds=VOICE_S)
        finally:
            done.set()
            filler.join()
            stream.close()
        self.assertGreaterEqual(arrived["voice"], 0.9 * sent["sent"])
        return arrived["p99_us"] / 1000

    def test_where_no_udp_passes_the_offices_are_reached_by_tls_and_by_udp_again_when_it_does(self):
        self.mesh(self.nodes)
        self.block("meta l4proto udp")
        self.wait_for(self.rome)
        self.wait_for(self.oslo)  # through rome: oslo does not listen
        self.assertFalse(self.by_udp(self.rome))
        for sender, receiver in ((self.laptop, self.rome), (self.rome, self.laptop), (self.laptop, self.oslo)):
            print(f"{sender.name} to {receiver.name}: {BULK_BYTES / self.bulk(sender, receiver) / 125000:.0f} Mbit/s")
        # To oslo and from it through rome: what is passed on is told apart on the stream, too.
        for sender, receiver in ((self.laptop, self.rome), (self.rome, self.laptop), (self.laptop, self.oslo), (self.oslo, self.laptop)):
            print(f"{sender.name} to {receiver.name}, voice beside bulk, 99 of 100 within {self.voice_beside_bulk(sender, receiver):.1f} ms")
        self.hotel.run("nft", "flush", "chain", "inet", "hotel", "passing")
        for office in (self.rome, self.oslo):
            wait_until(f"{office.name} to be had by UDP", lambda: self.by_udp(office), BACK_LIMIT_S)
        self.wait_for(self.oslo)

    def start_proxy(self, *lines):
        path = f"{self.folder}/proxy.conf"
        with open(path, "w") as file:
            file.write("\n".join((f"Port {PROXY_PORT}", "Listen 10.0.1.254", "Timeout 600", "Allow 10.0.1.0/24", "ConnectPort 443",
                                  "MaxClients 20", "LogLevel Connect", *lines)) + "\n")
        proxy = self.hotel.start(["tinyproxy", "-d", "-c", path], f"{self.folder}/logs/proxy.log")
        self.addCleanup(lambda: proxy.running() and proxy.end())
        wait_until("the proxy", lambda: str(PROXY_PORT) in self.hotel.run("ss", "-Htln"), 5)
        return proxy

    def test_where_only_the_proxy_leads_out_a_laptop_joins_through_it(self):
        self.laptop.configure({**self.laptop.settings, "streams": {"proxy": f"http://10.0.1.254:{PROXY_PORT}"}})
        self.mesh({"rome": self.rome, "oslo": self.oslo})
        self.block("meta l4proto { udp, tcp }")
        proxy = self.start_proxy()
        self.laptop.start()
        self.laptop.join(self.rome.invite("laptop"))
        self.wait_for(self.rome)
        self.bulk(self.laptop, self.rome)
        self.laptop.stop()
        proxy.end()

        secret = f"{self.folder}/password"
        with open(secret, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("open-sesame\n")
        self.start_proxy("BasicAuth guest open-sesame")
        self.laptop.configure({**self.laptop.settings, "streams": {"proxy": f"http://guest@10.0.1.254:{PROXY_PORT}",
                                                                   "proxy_password_file": secret}})
        self.laptop.start()
        self.wait_for(self.rome)
        self.wait_for(self.oslo)
        with open(self.laptop.log_path) as file:
            self.assertNotIn("sesame", file.read())


if __name__ == "__main__":
    harness.main("__main__")
