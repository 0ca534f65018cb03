"""Random runs of eight members, simulated: partitions, crashes, moves, sleep, clock steps; how soon all are together again.

A run that goes wrong is printed with its seed and its last packets; `tests/sim/chaos --seed SEED` tells it again.
"""
import json
import subprocess

from network import Failed

PEERS = ("meshd",)
ROUNDS = 1
SECONDS = 60


def measure(peer, programs, folder, turn, seconds=SECONDS):
    done = subprocess.run([f"{programs}/tests/sim/chaos", "--seconds", str(seconds)], capture_output=True, text=True)
    with open(f"{folder}/logs/chaos", "w") as file:
        file.write(done.stdout + done.stderr)
    failures, _, last = done.stdout.rstrip("\n").rpartition("\n")
    if not last.startswith("{"):
        raise Failed(f"the runs did not come to their end: {done.returncode}")
    told = json.loads(last)
    if failures:
        print(failures, flush=True)
    return {"runs": (told["runs"], "runs"), "failed": (told["failed"], "runs"), "over 10 s": (told["late"], "runs"),
            "speed": (told["node_hours"] / told["wall_s"] * 60, "node h/min"),
            "together p50": (told["found_p50_s"], "s"), "together p99": (told["found_p99_s"], "s")}
