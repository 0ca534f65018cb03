"""Registrations and calls through a SIP registrar that asks for passwords, on loopback.

A registration is two REGISTERs (challenge and answer), a call is INVITE (challenged, where the registrar does), 180,
200, ACK and BYE. Memory is the proportional set of all its processes at its highest; and that of a meshd between 20,000
phones and a central server (sipp, which believes everybody) once all are registered.
"""
import csv
import os
import threading
import time

from centre import Kamailio
from network import Failed, Space, wait_until
from node import Node

PEERS = ("kamailio", "meshd")
DOMAIN, ADDRESS, PORT = "bench.example", "127.0.0.1", 5060
USERS, REGISTRATIONS, REGISTRATIONS_PER_S, CALLS, CALLS_PER_S = 500, 4000, 800, 2000, 200
SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp")
PHONE_PORT, CALLER_PORT, CENTRE_PORT = 5091, 5093, 5095
BINDINGS, BINDINGS_PER_S = 20000, 800


class Memory:
    """Watches the memory of processes, and remembers the most."""

    def __init__(self, pids):
        self.pids, self.most_kb, self.ended = pids, 0, threading.Event()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while not self.ended.wait(0.25):
            self.most_kb = max(self.most_kb, sum(map(proportional_kb, self.pids)))


def proportional_kb(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def cpu_s(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            total += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def start(peer, space, programs, folder, passwords):
    """(process ids, what ends it)"""
    if peer == "kamailio":
        kamailio = Kamailio(space, [ADDRESS], DOMAIN, passwords, f"{folder}/kamailio", f"{folder}/logs", memory_mb=256, port=PORT)
        kamailio.start()
        return kamailio.processes(), kamailio.kill
    node = Node(space, "registrar", programs, folder,
                {"mdns": False, "log": "warn", "voice": {"domain": DOMAIN, "port": PORT, "phones": ["127.0.0.0/8"]}})
    node.start()
    node.ctl("init", "bench", "--name", "registrar")
    for name, word in passwords.items():
        node.add_user(f"{name}@{DOMAIN}", word)
    return [node.program.pid], node.stop


def sipp(space, folder, scenario, port, *options):
    """(completed, failed), by sipp's own count."""
    name = f"{folder}/{scenario}"
    space.run("sipp", f"{ADDRESS}:{PORT}", "-sf", f"{SCENARIOS}/{scenario}.xml", "-i", ADDRESS, "-auth_uri", DOMAIN, "-p", str(port),
              "-inf", f"{folder}/users.csv", "-nostdin", "-trace_stat", "-stf", f"{name}.stat", "-fd", "1",
              "-trace_err", "-error_file", f"{name}.errors", *options, check=False, timeout_s=180)
    return told_by(f"{name}.stat")


def told_by(path):
    with open(path) as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])


def hold(space, programs, folder):
    """Memory in MB with so many bindings, and how many phones were refused."""
    with open(f"{folder}/users.csv", "w") as file:
        file.write("SEQUENTIAL\n" + "".join(f"phone{i};\n" for i in range(BINDINGS)))
    centre = space.start(["sipp", "-sf", f"{SCENARIOS}/registrar.xml", "-i", ADDRESS, "-p", str(CENTRE_PORT), "-aa", "-nostdin"],
                         f"{folder}/centre.log", env={**os.environ, "TERM": "dumb"})
    node = Node(space, "proxy", programs, folder, {"mdns": False, "log": "warn", "voice": {
        "domain": DOMAIN, "port": PORT, "phones": ["127.0.0.0/8"], "centre": f"sip:{ADDRESS}:{CENTRE_PORT};transport=udp"}})
    node.start()
    node.ctl("init", "bench", "--name", "proxy")
    wait_until("the centre to be seen", lambda: node.voice_mode() == "central", 10)
    good, bad = sipp(space, folder, "register_open", PHONE_PORT, "-m", str(BINDINGS), "-r", str(BINDINGS_PER_S), "-l", "20000")
    held_mb = proportional_kb(node.program.pid) / 1024
    centre.kill()
    node.stop()
    if not good:
        raise Failed("nobody was registered through meshd")
    return held_mb, bad


def measure(peer, programs, folder, turn):
    space = Space(f"sip{turn}")
    passwords = {f"user{i}": f"word{i}" for i in range(USERS)}
    with open(f"{folder}/users.csv", "w") as file:
        file.write("SEQUENTIAL\n" + "".join(
            f"{name};[authentication username={name} password={word}];\n" for name, word in passwords.items()))
    pids, end = start(peer, space, programs, folder, passwords)
    memory = Memory(pids)

    before_s = cpu_s(pids)
    good, bad = sipp(space, folder, "register", PHONE_PORT, "-m", str(REGISTRATIONS), "-r", str(REGISTRATIONS_PER_S))
    if not good:
        raise Failed(f"{peer} accepted no registration")
    result = {"registration": ((cpu_s(pids) - before_s) / good * 1e6, "us cpu"), "refused": (bad, "")}

    phones = space.start(["sipp", "-sf", f"{SCENARIOS}/callee.xml", "-i", ADDRESS, "-p", str(PHONE_PORT), "-nostdin"],
                         f"{folder}/callee.log", env={**os.environ, "TERM": "dumb"})
    time.sleep(0.5)
    before_s = cpu_s(pids)
    good, bad = sipp(space, folder, "caller", CALLER_PORT, "-m", str(CALLS), "-r", str(CALLS_PER_S), "-l", "2000")
    if not good:
        raise Failed(f"{peer} completed no call")
    result["call"] = ((cpu_s(pids) - before_s) / good * 1e6, "us cpu")
    result["calls failed"] = (bad, "")
    phones.kill()
    memory.ended.set()
    result["peak memory"] = (memory.most_kb / 1024, "MB")
    end()
    if peer == "meshd":
        held_mb, bad = hold(space, programs, folder)
        result["with 20,000 bindings"] = (held_mb, "MB")
        result["refused of them"] = (bad, "")
    space.remove()
    return result
