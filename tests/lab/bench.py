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
# maybe
#   missing(peer)                            why it cannot be measured here, or None
#   PINS = True                              measure takes cpus=1, a processor for each side
#   ROUNDS                                   how many, if nobody says (3)
#   SECONDS                                  measure takes seconds=N
# and a first line of its docstring that says what it measures.
BENCHES = ("vpn", "sip", "failover", "reach", "chaos")
TABLE_WIDTH = 120


def options():
    p = argparse.ArgumentParser(prog="packaging/bench", description="meshd beside its peers, in one run")
    p.add_argument("name", choices=BENCHES)
    p.add_argument("--rounds", type=int, metavar="N", help="how often each peer is measured (3; chaos: 1)")
    p.add_argument("--seconds", type=float, metavar="N", help="chaos: how long (60)")
    p.add_argument("--json", metavar="FILE", help="write the medians there")
    p.add_argument("--peers", metavar="PEER,...", help="only these")
    p.add_argument("--cpus", type=int, choices=(1,), help="vpn: a processor for each side, daemon and load together")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    p.add_argument("--folder", required=True, help=argparse.SUPPRESS)
    return p.parse_args()


def rounds(bench, peers, o):
    """({peer: {metric: ([values], unit)}}, whether all went well). A peer that fails does not spoil the others."""
    results, good = {peer: {} for peer in peers}, True
    pinned = {"cpus": o.cpus} if o.cpus else {}
    if o.seconds:
        pinned["seconds"] = o.seconds
    for number in range(1, o.rounds + 1):
        for index, peer in enumerate(peers):
            folder = f"{os.path.abspath(o.folder)}/{number}-{peer}"
            os.makedirs(f"{folder}/logs")
            try:
                measured = bench.measure(peer, os.path.abspath(o.build), folder, f"{number}x{index}", **pinned)
            except Failed as failure:
                print(f"round {number}: {peer}: {failure}. Logs: {folder}", file=sys.stderr, flush=True)
                good = False
                continue
            told = ", ".join(f"{metric} {value:.3g} {unit}" for metric, (value, unit) in measured.items())
            print(f"round {number}: {peer}: {told}", file=sys.stderr, flush=True)
            for metric, (value, unit) in measured.items():
                results[peer].setdefault(metric, ([], unit))[0].append(value)
    return results, good


def rows_of(name, results):
    return [{"bench": name, "peer": peer, "metric": metric, "value": round(statistics.median(values), 4), "unit": unit}
            for peer, metrics in results.items() for metric, (values, unit) in metrics.items()]


def table(rows, peers):
    """One of the metrics without a colon, and one for each group "GROUP: METRIC"; more where the page is too narrow."""
    columns = list(dict.fromkeys((row["metric"], row["unit"]) for row in rows))
    for group in dict.fromkeys(map(group_of, columns)):
        left = [column for column in columns if group_of(column) == group]
        while left:
            shown, width = [], max(map(len, peers))
            while left and (not shown or width + 2 + column_width(left[0]) <= TABLE_WIDTH):
                width += 2 + column_width(left[0])
                shown.append(left.pop(0))
            print()
            lines(group, rows, peers, shown)


def lines(group, rows, peers, columns):
    first = max(map(len, peers))
    value = {(row["peer"], row["metric"]): f"{row['value']:.4g}" if row["value"] < 1e4 else f"{row['value']:.0f}"
             for row in rows}
    for corner, heads in ((group, map(name_of, columns)), ("", (unit for _, unit in columns))):
        print(f"{corner:<{first}}" + "".join(
            f"  {head:>{column_width(column)}}" for head, column in zip(heads, columns)))
    for peer in peers:
        print(f"{peer:<{first}}" + "".join(
            f"  {value.get((peer, column[0]), '-'):>{column_width(column)}}" for column in columns))


def group_of(column):
    return column[0].rpartition(": ")[0]


def name_of(column):
    return column[0].rpartition(": ")[2]


def column_width(column):
    return max(8, len(name_of(column)), len(column[1]))


def present(bench, peers):
    """Those that can be measured here; says of the others why not."""
    why = {peer: bench.missing(peer) for peer in peers} if hasattr(bench, "missing") else {}
    for peer, reason in why.items():
        if reason:
            print(f"{peer} is left out: {reason}", flush=True)
    return [peer for peer in peers if not why.get(peer)]


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
    if o.cpus and not getattr(bench, "PINS", False):
        sys.exit(f"bench: {o.name} has no sides to pin to processors")
    if o.seconds and not hasattr(bench, "SECONDS"):
        sys.exit(f"bench: {o.name} takes the time that it takes")
    o.rounds = o.rounds or getattr(bench, "ROUNDS", 3)
    peers = present(bench, peers)
    try:
        results, good = rounds(bench, peers, o)
    except KeyboardInterrupt:
        sys.exit(f"bench: interrupted. Logs: {o.folder}")
    peers = [peer for peer in peers if results[peer]]
    if not peers:
        sys.exit("bench: no peer could be measured")
    rows = rows_of(o.name, results)
    print(f"{o.name}: {bench.__doc__.splitlines()[0]} Medians of {o.rounds}.")
    table(rows, peers)
    if o.json:
        with open(o.json, "w") as file:
            json.dump({"rows": rows}, file, indent=1)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
