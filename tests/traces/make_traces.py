#!/usr/bin/env python3
"""Writes the jitter traces of this folder, exact by seed: what a network does with a minute of packets of 20 ms.

  make_traces.py             writes NAME.trace beside itself, each with its distribution in its head

They are recorded once and kept: the bounds in tests/unit/engine/test_traces.cpp belong to them. A trace has 50 numbers a
line, one a packet, a line a second: its delay in tenths of a millisecond; "-" is lost. No packet overtakes another.
"""
import os
import random

PACKETS = 3000
PACKET_MS = 20


def lan(rng):
    """Switched LAN: 0.3 ms and exponential of mean 0.2 ms. No loss."""
    for _ in range(PACKETS):
        yield 0.3 + rng.expovariate(1 / 0.2)


def wifi(rng):
    """Busy Wi-Fi: 3 ms and exponential of mean 2 ms. Every 2 s in the mean the channel is taken for 20 to 80 ms, and what waited comes at once. 0.5 % lost."""
    taken_until = 0
    for i in range(PACKETS):
        sent = i * PACKET_MS
        if rng.random() < PACKET_MS / 2000:
            taken_until = sent + rng.uniform(20, 80)
        yield None if rng.random() < 0.005 else max(taken_until - sent, 0) + 3 + rng.expovariate(1 / 2)


def lte(rng):
    """LTE: 35 ms, grants even over 0 to 5 ms, each of up to 4 retransmissions 8 ms with probability 0.1, a base that walks by 0.3 ms a packet within 10 ms. A handover each 20 s holds everything for 150 ms. 0.2 % lost."""
    walk = 0.0
    for i in range(PACKETS):
        sent = i * PACKET_MS
        walk = min(10.0, max(-10.0, walk + rng.uniform(-0.3, 0.3)))
        retransmissions = 0
        while retransmissions < 4 and rng.random() < 0.1:
            retransmissions += 1
        into_handover = (sent - 10000) % 20000
        held = 150 - into_handover if into_handover < 150 else 0
        yield None if rng.random() < 0.002 else 35 + walk + rng.uniform(0, 5) + 8 * retransmissions + held


def satellite(rng):
    """Low-orbit satellites: 28 to 45 ms, another each 15 s, after three lost packets and 60 ms in which all waits; even over 0 to 8 ms; 0.8 % lost."""
    base = 35.0
    for i in range(PACKETS):
        into = i * PACKET_MS % 15000
        if into == 0:
            base = rng.uniform(28, 45)
        held = 120 - into if 60 <= into < 120 else 0
        lost = into < 60 or rng.random() < 0.008
        yield None if lost else base + rng.uniform(0, 8) + held


def dsl(rng):
    """DSL line beside an upload: 12 ms and a queue that a TCP sawtooth of 3 s fills from 60 to 180 ms, from the 10th to the 25th and the 40th to the 50th second; even over 0 to 12 ms; 2 % lost while the queue is nearly full."""
    for i in range(PACKETS):
        second = i * PACKET_MS / 1000
        loaded = 10 <= second < 25 or 40 <= second < 50
        queue = 60 + 120 * (second % 3) / 3 if loaded else 0
        lost = queue > 165 and rng.random() < 0.02
        yield None if lost else 12 + queue + rng.uniform(0, 12 if loaded else 3)


def in_order(delays):
    last = 0.0
    for i, delay in enumerate(delays):
        if delay is not None:
            last = max(last, i * PACKET_MS + delay)
            delay = last - i * PACKET_MS
        yield delay


def main():
    for seed, make in enumerate((lan, wifi, lte, satellite, dsl), 1):
        numbers = ["-" if delay is None else str(round(10 * delay)) for delay in in_order(make(random.Random(seed)))]
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), make.__name__ + ".trace")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"# {make.__doc__}\n")
            for at in range(0, PACKETS, 50):
                file.write(" ".join(numbers[at:at + 50]) + "\n")


if __name__ == "__main__":
    main()
