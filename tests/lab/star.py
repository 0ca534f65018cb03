"""One meshd amid ten others, with all of which it exchanges TCP at once: what that takes of its memory."""
import os
import subprocess
import time

from network import Failed, bridge, cable, clear, plug, wait_until
from node import wait_full_mesh
from tunnels import Machine, node

PEERS, BUSY_S, MESH_LIMIT_S = 10, 3, 60
IPERF_PORT = 5201


class Star:
    """A switch, and machines around it, the first of which is the busy one. `data`: of meshd's configuration."""

    def __init__(self, programs, folder, turn, data):
        self.programs, self.folder, self.daemons = programs, folder, []
        os.makedirs(f"{folder}/logs", exist_ok=True)
        os.chmod(folder, 0o700)
        self.spaces = []
        try:
            self.switch = self.space(f"s{turn}")
            bridge(self.switch, "lan")
            self.machines = [self.space(f"m{turn}x{i}") for i in range(PEERS + 1)]
            for i, machine in enumerate(self.machines):
                cable(machine, "eth0", self.switch, f"port{i}")
                plug(self.switch, "lan", f"port{i}")
                machine.set_up("eth0", f"10.98.0.{i + 1}/24")
            self.nodes = [node(self, machine, data) for machine in self.machines]
            self.busy, self.others = self.nodes[0], self.nodes[1:]
            self.busy.ctl("init", "bench", "--name", self.busy.name)
            for other in self.others:
                other.join(self.busy.invite(other.name))
            wait_full_mesh(self.nodes, MESH_LIMIT_S, time.monotonic())
        except BaseException:
            self.close()
            raise

    def space(self, name):
        self.spaces.append(Machine(name))
        return self.spaces[-1]

    def work(self):
        """TCP both ways between the first and all the others, at once."""
        log = f"{self.folder}/logs/iperf3.log"
        servers = [other.space.start(["iperf3", "-s", "-1"], log) for other in self.others]
        for other in self.others:
            wait_until("iperf3", lambda: str(IPERF_PORT) in other.space.run("ss", "-Htln"), 5)
        clients = [self.busy.space.start(["iperf3", "-c", other.addresses()[0], "-t", str(BUSY_S), "--bidir"], log)
                   for other in self.others]
        for program in clients + servers:
            try:
                if program.process.wait(BUSY_S + 30):
                    raise Failed(f"iperf3 failed: see {log}")
            except subprocess.TimeoutExpired:
                raise Failed("iperf3 did not come to its end") from None
            finally:
                if program.running():
                    program.kill()

    def close(self):
        clear(self.daemons, self.spaces)


def peak_mb(programs, folder, turn, data):
    star = Star(programs, folder, turn, data)
    try:
        star.work()
        return star.busy.program.peak_kb() / 1024
    finally:
        star.close()
