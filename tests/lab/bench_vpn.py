"""Speed, cost and the delay of a call through tunnels between two machines joined by one cable.

The processor time is that of both daemons together, the peak memory that of the larger of the two. Small packets: how
many of 200 bytes a second arrive, over one flow and over fifty, at the highest rate of which less than 1 % is lost.
Voice: the 99th percentile of a call's one-way delay, alone, and then how much is added to it while four TCP flows fill
one direction (the call's), then both; and the packets lost of 250. The ping beside four TCP flows is an ordinary one, that
waits with them: the median of its round trips. The line: the same over 10 Mbit/s with a queue of 64 kB, where meshd is told
9500 kbit/s of uplink and its peers have nothing that could be told. Ten peers: the peak memory of a meshd that exchanges
TCP with ten others at once.
"""
import time

import star
from network import Failed, Wire
from traffic import FLOW_S, VOICE_S, WARM_UP_S, Stream, Tcp, ping_ms
from tunnels import KINDS, Link

PEERS, PINS = tuple(KINDS), True
LINE_MBIT_S, UPLINK_RATE = 10, "9500kbit"
RAMP_S = 1  # for TCP to fill the line


def missing(peer):
    return KINDS[peer].missing()


def cpu_s(link):
    return sum(daemon.cpu_s() for daemon in link.daemons)


def throughput(link):
    before_s = cpu_s(link)
    one = Tcp(link, FLOW_S).bit_s()
    cost = (cpu_s(link) - before_s) / (one * (FLOW_S + WARM_UP_S) / 8e9)
    result = {"1 flow": (one / 1e9, "Gbit/s"), "4 flows": (Tcp(link, FLOW_S, flows=4).bit_s() / 1e9, "Gbit/s")}
    result["round trip"] = (ping_ms(link, 200, 0.005), "ms")
    result["ping, 1 way full"] = (ping_under(link), "ms")
    if link.daemons:
        result["processor"] = (cost, "s/GB")
    return result


def small_packets(link):
    stream = Stream(link)
    one, fifty = stream.small_packets(1), stream.small_packets(50)
    stream.close()
    return {"small packets": (one, "1/s"), "small, 50 flows": (fifty, "1/s")}


def voice_under(link, stream, both=False):
    """(99th percentile of the delay in ms, packets lost, bit/s of TCP)"""
    tcp = Tcp(link, RAMP_S + VOICE_S, flows=4, both=both)
    time.sleep(RAMP_S)
    return *stream.voice(), tcp.bit_s()


def ping_under(link):
    tcp = Tcp(link, RAMP_S + VOICE_S, flows=4)
    time.sleep(RAMP_S)
    try:
        return ping_ms(link, 150, 0.02)
    finally:
        tcp.bit_s()


def voice(link):
    stream = Stream(link)
    alone_ms, alone_lost = stream.voice()
    one_ms, one_lost, _ = voice_under(link, stream)
    both_ms, both_lost, _ = voice_under(link, stream, both=True)
    stream.close()
    return {"voice: alone": (alone_ms, "ms"), "voice: added, 1 way full": (one_ms - alone_ms, "ms"),
            "voice: added, both full": (both_ms - alone_ms, "ms"), "voice: lost alone": (alone_lost, "packets"),
            "voice: lost, 1 way full": (one_lost, "packets"), "voice: lost, both full": (both_lost, "packets")}


def line(link):
    stream = Stream(link)
    alone_ms, _ = stream.voice()
    full_ms, lost, bit_s = voice_under(link, stream)
    stream.close()
    ping = ping_under(link)
    return {"line: voice alone": (alone_ms, "ms"), "line: added, full": (full_ms - alone_ms, "ms"),
            "line: lost, full": (lost, "packets"), "line: TCP": (bit_s / 1e6, "Mbit/s"), "line: ping, full": (ping, "ms")}


def over_cable(peer, programs, folder, turn, pinned, data):
    link = Link(peer, programs, folder, turn, pinned, data)
    try:
        result = {}
        for part in (throughput, small_packets, voice):
            result.update(part(link))
        if link.daemons:
            result["peak memory"] = (max(daemon.peak_kb() for daemon in link.daemons) / 1024, "MB")
        return result
    finally:
        link.close()


def over_line(peer, programs, folder, turn, pinned, data):
    wires = []

    def join(a, b):
        wires.append(Wire(f"{programs}/tests/lab/wire", a, "eth0", b, "eth0", f"{folder}/logs/wire.log"))
        wires[0].set(f"both rate {LINE_MBIT_S}")

    try:
        link = Link(peer, programs, folder, turn, pinned, {**data, "uplink_rate": UPLINK_RATE}, join)
        try:
            return line(link)
        finally:
            link.close()
    finally:
        for wire in wires:
            wire.process.stdin.close()
            wire.process.wait(5)


def measure(peer, programs, folder, turn, cpus=None):
    pinned, data = cpus == 1, {"threads": "one"} if cpus == 1 else {}
    result = over_cable(peer, programs, f"{folder}/cable", turn, pinned, data)
    try:
        result.update(over_line(peer, programs, f"{folder}/line", f"{turn}n", pinned, data))
    except Failed as why:  # which is no reason to forget the rest
        print(f"{peer} over a line of {LINE_MBIT_S} Mbit/s: {why}", flush=True)
    if peer == "meshd" and not pinned:
        try:
            result["peak memory, ten peers"] = (star.peak_mb(programs, f"{folder}/star", f"{turn}s", data), "MB")
        except Failed as why:
            print(f"{peer} with {star.PEERS} peers: {why}", flush=True)
    return result
