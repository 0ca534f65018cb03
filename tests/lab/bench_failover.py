"""Ring-back of 200 calls a second through an office's meshd and a Kamailio centre 20 ms away, while the centre dies.

Both ends of each call are phones of the office that the centre has accepted. Before, during (the 6 s in which the loss
must be noticed) and after. A call counts that rings, is answered, acknowledged and hung up.
"""
import csv
import glob
import os
import time

from bench_sip import SCENARIOS, sipp, told_by
from centre import Kamailio
from network import Failed, Space, Wire, wait_until
from node import Node

PEERS = ("killed", "unreachable")
DOMAIN, CENTRE, OFFICE, PHONES, PORT = "bench.example", "203.0.113.5", "203.0.113.1", "127.0.0.1", 5060
USERS, CALLS_PER_S, BEFORE_S, DURING_S, AFTER_S = 200, 200, 6, 6, 6
CENTRE_DELAY_MS = 10  # each way
PHONE_PORT, CALLER_PORT = 5091, 5093


def users_csv(path, names, passwords, *more):
    with open(path, "w") as file:
        file.write("SEQUENTIAL\n" + "".join(
            f"{name};[authentication username={name} password={passwords[name]}];" + "".join(f"{fields[i]};" for fields in more) + "\n"
            for i, name in enumerate(names)))


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def rings_of(folder):
    """[(when it was sent, ms from that until it rang)], in seconds since the first."""
    path, = glob.glob(f"{folder}/failover_caller_*_rtt.csv")
    with open(path) as file:
        rows = [(float(row["Date_ms"]), float(row["response_time_ms"])) for row in csv.DictReader(file, delimiter=";")]
    return [((date - rings) / 1000, rings) for date, rings in rows]


def measure(peer, programs, folder, turn):
    office, centre = Space(f"office{turn}"), Space(f"centre{turn}")
    wire = Wire(f"{programs}/tests/lab/wire", office, "wan", centre, "eth0", f"{folder}/logs/wire.log")
    office.set_up("wan", f"{OFFICE}/28")
    centre.set_up("eth0", f"{CENTRE}/28")
    wire.set(f"both delay {CENTRE_DELAY_MS}")
    callees, callers = ([f"{kind}{i}" for i in range(USERS)] for kind in ("user", "caller"))
    passwords = {name: f"word-of-{name}" for name in callees + callers}
    kamailio = Kamailio(centre, [CENTRE], DOMAIN, passwords, f"{folder}/kamailio", f"{folder}/logs", memory_mb=128)
    kamailio.start()
    node = Node(office, "office", programs, folder, {"mdns": False, "log": "warn", "voice": {
        "domain": DOMAIN, "port": PORT, "phones": ["127.0.0.0/8"], "centre": f"sip:{CENTRE}:5060;transport=udp"}})
    node.start()
    node.ctl("init", "bench", "--name", "office")
    wait_until("the centre to be seen", lambda: node.voice_mode() == "central", 10)
    for names, port in ((callees, PHONE_PORT), (callers, CALLER_PORT)):
        users_csv(f"{folder}/users.csv", names, passwords)
        good, bad = sipp(office, folder, "register", port, "-m", str(USERS), "-r", "100")
        if good != USERS:
            raise Failed(f"{bad} registrations failed before anything happened")

    log = {**os.environ, "TERM": "dumb"}
    phones = office.start(["sipp", "-sf", f"{SCENARIOS}/callee.xml", "-i", PHONES, "-p", str(PHONE_PORT), "-nostdin"],
                          f"{folder}/logs/callee.log", env=log)
    users_csv(f"{folder}/users.csv", callers, passwords, callees)
    calls = CALLS_PER_S * (BEFORE_S + DURING_S + AFTER_S)
    callers_program = office.start(
        ["sh", "-c", 'cd "$0" && exec "$@"', folder, "sipp", f"{PHONES}:{PORT}", "-sf", f"{SCENARIOS}/failover_caller.xml", "-i", PHONES,
         "-p", str(CALLER_PORT), "-auth_uri", DOMAIN, "-inf", f"{folder}/users.csv", "-nostdin", "-trace_stat", "-stf",
         f"{folder}/calls.stat", "-fd", "1", "-trace_rtt", "-rtt_freq", "1", "-trace_err", "-error_file",
         f"{folder}/calls.errors", "-m", str(calls), "-r", str(CALLS_PER_S), "-l", "4000"],
        f"{folder}/logs/caller.log", env=log)
    began = time.monotonic()
    time.sleep(BEFORE_S)
    if peer == "killed":
        kamailio.kill()
    else:
        wire.set("both down")
    died_s = time.monotonic() - began
    noticed_s = wait_until("the loss of the centre to be noticed", lambda: node.voice_mode() == "island", 15)
    callers_program.process.wait(90)
    phones.kill()

    good, bad = told_by(f"{folder}/calls.stat")
    rings = rings_of(folder)
    start_s = min(at for at, _ in rings)
    result = {"calls": (good, ""), "failed": (bad, ""), "noticed": (noticed_s, "s")}
    for name, begin_s, end_s in (("before", 0, died_s - 0.5), ("during", died_s - 0.5, died_s + DURING_S),
                                 ("after", died_s + DURING_S, 1e9)):
        values = [ms for at, ms in rings if begin_s <= at - start_s < end_s]
        if not values:
            raise Failed(f"no call rang {name} the loss of the centre")
        for metric, value in (("p50", share(values, 0.5)), ("p99", share(values, 0.99)), ("max", max(values))):
            result[f"{name}: {metric}"] = (value, "ms")
    if peer == "unreachable":
        kamailio.kill()
    node.stop()
    for space in (office, centre):
        space.remove()
    return result
