"""Members behind every pair of NATs, simulated: which way they get, and how soon. 20 to 30 ms each way.

The grid is printed in the first round; each round has seeds of its own. `data`: from the start until packets come both
ways. `last way`: until the way changes no more.
"""
import json
import subprocess

from network import Failed

PEERS = ("meshd",)
SEEDS = 5


def measure(peer, programs, folder, turn):
    number = int(turn.partition("x")[0])
    done = subprocess.run([f"{programs}/tests/sim/reach", "--seeds", str(SEEDS), "--from", str(1 + number * 1000)],
                          capture_output=True, text=True)
    with open(f"{folder}/logs/reach", "w") as file:
        file.write(done.stdout + done.stderr)
    grid, _, last = done.stdout.rstrip("\n").rpartition("\n")
    if not last.startswith("{"):
        raise Failed(f"the grid did not come to its end: {done.returncode}")
    told = json.loads(last)
    if number == 1:
        print(grid, flush=True)
    if told["unreached"]:
        raise Failed(f"{told['unreached']} pairs do not reach each other")
    return {"cells": (told["cells"], "pairs"), "direct": (told["direct_cells"], "pairs"),
            "direct: data p50": (told["data_p50_s"], "s"), "direct: data p99": (told["data_p99_s"], "s"),
            "direct: last way p50": (told["direct_p50_s"], "s"), "direct: last way p99": (told["direct_p99_s"], "s"),
            "relayed: data p50": (told["relayed_data_p50_s"], "s"), "relayed: data p99": (told["relayed_data_p99_s"], "s")}
