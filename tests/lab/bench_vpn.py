"""TCP throughput, round trip and cost between two machines joined by one cable.

The processor time and the memory are those of both daemons together.
"""
import json
import time

from network import Failed, Space, cable, run, wait_until
from node import Node, wait_full_mesh
from wireguard import StockPeer

PEERS = ("no-tunnel", "wireguard-go", "meshd")
FLOW_S, WARM_UP_S = 4, 1
PORT = 51820


class Pair:
    """Two namespaces and a cable, and a tunnel of the peer's kind."""

    def __init__(self, peer, programs, folder, turn):
        self.a, self.b = Space(f"a{turn}"), Space(f"b{turn}")
        cable(self.a, "eth0", self.b, "eth0")
        self.a.set_up("eth0", "10.99.0.1/24")
        self.b.set_up("eth0", "10.99.0.2/24")
        self.programs, self.folder, self.turn, self.daemons = programs, folder, turn, []
        self.far = getattr(self, peer.replace("-", "_"))()
        wait_until(f"an answer through {peer}", lambda: self.a.ping_ms(self.far) is not None, 10)

    def no_tunnel(self):
        return "10.99.0.2"

    def wireguard_go(self):
        keys = [run("wg", "genkey").strip() for _ in range(2)]
        public = [run("wg", "pubkey", input_text=key).strip() for key in keys]
        for i, space in enumerate((self.a, self.b)):
            peer = StockPeer(space, f"wg{self.turn}{'ab'[i]}", f"""[Interface]
PrivateKey = {keys[i]}
ListenPort = {PORT}
Address = 10.77.0.{i + 1}/24
[Peer]
PublicKey = {public[1 - i]}
Endpoint = 10.99.0.{2 - i}:{PORT}
AllowedIPs = 10.77.0.0/24
""", self.folder)
            self.daemons.append(peer.program)
        return "10.77.0.2"

    def meshd(self):
        nodes = [Node(space, space.name, self.programs, self.folder,
                      {"listen_port": PORT, "mdns": False, "voice": {"enabled": False}}) for space in (self.a, self.b)]
        for node in nodes:
            node.start()
        self.daemons = [node.program for node in nodes]
        nodes[0].ctl("init", "bench", "--name", nodes[0].name)
        nodes[1].join(nodes[0].invite(nodes[1].name))
        wait_full_mesh(nodes, 10, time.monotonic())
        return nodes[1].addresses()[0]

    def flow(self, flows=1):
        """(Gbit/s, gigabytes carried, the warm-up included)."""
        server = self.b.start(["iperf3", "-s", "-1"], f"{self.folder}/iperf3.log")
        wait_until("iperf3", lambda: "5201" in self.b.run("ss", "-Htln"), 5)
        report = json.loads(self.a.run("iperf3", "-c", self.far, "-t", str(FLOW_S), "-O", str(WARM_UP_S), "-P",
                                       str(flows), "-J", timeout_s=FLOW_S + 20))
        server.process.wait(5)
        if "error" in report:
            raise Failed(f"iperf3: {report['error']}")
        rate = report["end"]["sum_received"]["bits_per_second"]
        return rate / 1e9, rate * (FLOW_S + WARM_UP_S) / 8e9

    def close(self):
        for daemon in self.daemons:
            daemon.end()
        for space in (self.a, self.b):
            space.remove()


def measure(peer, programs, folder, turn):
    pair = Pair(peer, programs, folder, turn)
    cpu_s = lambda: sum(daemon.cpu_s() for daemon in pair.daemons)
    before_s = cpu_s()
    one, carried_gb = pair.flow()
    result = {"1 flow": (one, "Gbit/s")}
    cost = (cpu_s() - before_s) / carried_gb
    result["4 flows"] = (pair.flow(4)[0], "Gbit/s")
    text = pair.a.run("ping", "-n", "-q", "-c", "200", "-i", "0.005", pair.far)
    result["round trip"] = (float(text.rsplit("=", 1)[1].split("/")[1]), "ms")
    if pair.daemons:
        result["processor"] = (cost, "s/GB")
        result["peak memory"] = (sum(daemon.peak_kb() for daemon in pair.daemons) / 1024, "MB")
    pair.close()
    return result
