#!/usr/bin/python3
"""The frame of all benches: peers take turns, round after round, since a machine's speed drifts; medians are told.

Called by packaging/bench, which builds first.
"""
import argparse
import importlib
import json
import os
import shutil
import statistics
import sys

sys.dont_write_bytecode = True
import sandbox
from network import Failed

# A bench is a module bench_NAME with
#   PEERS       names, in the order of the table
#   measure(peer, programs, folder, turn)    {metric: (value, unit)}; folder is empty, turn unique
# and a first line of its docstring that says what it measures.
BENCHES = ("vpn", "sip")


def options():
    p = argparse.ArgumentParser(prog="packaging/bench", description="meshd beside its peers, in one run")
    p.add_argument("name", choices=BENCHES)
    p.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each peer is measured (3)")
    p.add_argument("--json", metavar="FILE", help="write the medians there")
    p.add_argument("--peers", metavar="PEER,...", help="only these")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    p.add_argument("--folder", required=True, help=argparse.SUPPRESS)
    return p.parse_args()


def rounds(bench, peers, o):
    """{peer: {metric: ([values], unit)}}"""
    results = {peer: {} for peer in peers}
    for number in range(1, o.rounds + 1):
        for peer in peers:
            folder = f"{os.path.abspath(o.folder)}/{number}-{peer}"
            os.makedirs(f"{folder}/logs")
            measured = bench.measure(peer, os.path.abspath(o.build), folder, f"{number}{peers.index(peer)}")
            told = ", ".join(f"{metric} {value:.3g} {unit}" for metric, (value, unit) in measured.items())
            print(f"round {number}: {peer}: {told}", file=sys.stderr, flush=True)
            for metric, (value, unit) in measured.items():
                results[peer].setdefault(metric, ([], unit))[0].append(value)
    return results


def rows_of(name, results):
    return [{"bench": name, "peer": peer, "metric": metric, "value": round(statistics.median(values), 4), "unit": unit}
            for peer, metrics in results.items() for metric, (values, unit) in metrics.items()]


def table(rows, peers):
    metrics = list(dict.fromkeys((row["metric"], row["unit"]) for row in rows))
    value = {(row["peer"], row["metric"]): f"{row['value']:.4g}" for row in rows}
    head = [f"{metric} {unit}" for metric, unit in metrics]
    print(" " * 14 + "  ".join(f"{text:>18}" for text in head))
    for peer in peers:
        print(f"{peer:<14}" + "  ".join(f"{value.get((peer, metric), '-'):>18}" for metric, _ in metrics))


def main():
    o = options()
    try:
        sandbox.enter()
    except sandbox.Unavailable as why:
        sys.exit(f"bench: {why}")
    bench = importlib.import_module(f"bench_{o.name}")
    peers = o.peers.split(",") if o.peers else list(bench.PEERS)
    if unknown := [peer for peer in peers if peer not in bench.PEERS]:
        sys.exit(f"bench: {o.name} knows no {unknown[0]}. Its peers are: {', '.join(bench.PEERS)}")
    shutil.rmtree(o.folder, ignore_errors=True)
    try:
        results = rounds(bench, peers, o)
    except (Failed, KeyboardInterrupt) as failure:
        sys.exit(f"bench: {failure}. Logs: {o.folder}")
    rows = rows_of(o.name, results)
    print(f"{o.name}: {bench.__doc__.splitlines()[0]} Medians of {o.rounds}.")
    table(rows, peers)
    if o.json:
        with open(o.json, "w") as file:
            json.dump({"rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
