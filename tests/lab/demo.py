#!/usr/bin/python3
"""The demonstration: three offices, a central SIP server, and the cut, all on this machine.

Called by packaging/demo, which builds first. Leaves nothing behind but its files in the --folder.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

sys.dont_write_bytecode = True
import sandbox
from network import Failed

TAIL_LINES = 12


def options():
    p = argparse.ArgumentParser(prog="packaging/demo", description=__doc__.split("\n")[0])
    p.add_argument("--check", action="store_true", help="no explanations; exit status 0 only if every step holds")
    p.add_argument("--json", metavar="FILE", help="write the steps and their figures there")
    p.add_argument("--keep", action="store_true", help="leave the mesh up afterwards, until Ctrl-C, to look around")
    p.add_argument("--only", metavar="STEP,...", help="only these steps, and what they need")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    p.add_argument("--folder", required=True, help=argparse.SUPPRESS)
    return p.parse_args()


PICTURE = r"""
Three offices and a laptop become one encrypted mesh (~), a meshd in each. Their
phones, each with a voice of its own, register at a central SIP server, through
the meshd of their office. Then the centre is cut off, and later comes back.

   alice  erin            bob            carol  dave                  phones
      \    /               |                \    /                   (baresip)
     [ trento ]~~~~~~~~[ munich ]~~~~~~~~~[ london ]~~~~~[ laptop ]   meshd
          |                |                  |              |
   -------+----------------+----- Internet ---+--------------+-------
                                     |
                           [ centre: Kamailio ]
"""


class Teller:
    """Prints a line a step."""

    def __init__(self, steps):
        self.colour = sys.stdout.isatty()
        self.width = max(map(len, steps))
        self.columns = min(shutil.get_terminal_size((120, 24)).columns, 160)

    def paint(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def began(self, step):
        if self.colour:
            print(f"  ....  {step}", end="\r", flush=True)

    def ended(self, step, ok, figure, unit, sentence):
        mark = self.paint("  ok  ", 32) if ok else self.paint("FAILED", 31)
        shown = f"{figure:.0f}" if figure >= 100 else f"{figure:.2f}" if figure < 10 else f"{figure:.1f}"
        margin = 8 + self.width + 2 + 12 + 2
        if ok:  # wrapped into a column of its own; a failure's text may have lines of its own
            sentence = f"\n{'':{margin}}".join(textwrap.wrap(sentence, max(self.columns - margin, 30)))
        print(f"{mark}  {step:<{self.width}}  {shown + ' ' + unit if ok else '':>12}  {sentence}", flush=True)


def tails(files, since):
    """The last lines of every log that has grown since then: sizes by name."""
    for path in files:
        if os.path.getsize(path) > since.get(path, 0):
            with open(path, errors="replace") as file:
                file.seek(since.get(path, 0))
                lines = file.read().splitlines()
            print(f"        --- {path}")
            for line in lines[-TAIL_LINES:]:
                print(f"        {line}")


def sizes(story):
    return {path: os.path.getsize(path) for path in story.log_files()}


def tell(story, steps, limit_mb):
    """([{name, ok, figure, unit}], everything held)."""
    teller, results = Teller(steps), []
    for step in steps:
        teller.began(step)
        before = sizes(story)
        try:
            figure, unit, sentence = story.run(step)
            teller.ended(step, True, figure, unit, sentence)
            results.append({"name": step, "ok": True, "figure": round(figure, 3), "unit": unit})
        except (Failed, OSError, KeyError, ValueError, IndexError, subprocess.SubprocessError) as failure:
            teller.ended(step, False, 0, "", str(failure) or repr(failure))
            tails(story.log_files(), before)
            results.append({"name": step, "ok": False, "figure": None, "unit": ""})
            story.quiet_phones()
    story.measure_memory()
    small = all(value < limit_mb for value in story.resident_mb.values())
    if story.resident_mb:
        text = ", ".join(f"{name} {value:.1f} MB" for name, value in story.resident_mb.items())
        print(f"\nmeshd holds in memory: {text}" + ("" if small else f": over the limit of {limit_mb} MB"), flush=True)
    return results, small and all(result["ok"] for result in results)


KEPT = """
The mesh stays up until you press Ctrl-C here. To look around, from another
terminal, in this folder:

  {inside} trento meshctl status
  {inside} trento ping {address}
  {inside} alice ip address

Other machines: munich, london, laptop. Other commands: meshctl peers, members,
phones, calls, voice.
"""

# Steps into the namespaces of the sandbox (its first process is {pid}), and there into one of the network's.
INSIDE = """#!/bin/sh
# in NODE COMMAND...: runs a command on that machine of the demonstration's network
if [ $# -lt 2 ]; then echo "usage: $0 MACHINE COMMAND..." >&2; exit 2; fi
if [ ! -e /proc/{pid} ]; then echo "The demonstration has ended: packaging/demo --keep leaves it up" >&2; exit 1; fi
node=$1; shift
export PATH="{programs}/meshctl:$PATH" MESHD_CONTROL="/run/meshd/$node.sock"
exec nsenter -t {pid} {user}-m -p -- nsenter --net="/run/netns/$node" -- "$@"
"""


def keep(story, folder, programs, pid):
    path = f"{folder}/in"
    with open(path, "w") as file:
        user = "-U --preserve-credentials " if sandbox.without_root else ""
        file.write(INSIDE.format(pid=pid, user=user, programs=programs))
    os.chmod(path, 0o755)
    address = story.nodes["munich"].addresses()[0] if story.nodes else "munich"
    inside = ("sudo " if "SUDO_UID" in os.environ else "") + os.path.relpath(path)
    print(KEPT.format(inside=inside, address=address), flush=True)
    try:
        signal.pause()
    except (KeyboardInterrupt, SystemExit):
        print()


def main():
    o = options()
    try:
        pid = sandbox.enter()
    except sandbox.Unavailable as why:
        sys.exit(f"demo: {why}")
    from story import RESIDENT_LIMIT_MB, STEPS, Story
    steps = o.only.split(",") if o.only else STEPS
    if unknown := [step for step in steps if step not in STEPS]:
        sys.exit(f"demo: there is no step {unknown[0]}. The steps are: {', '.join(STEPS)}")
    folder, programs = os.path.abspath(o.folder), os.path.abspath(o.build)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/logs")
    if not o.check:
        print(PICTURE, flush=True)
    began = time.monotonic()
    story = Story(programs, folder)
    try:
        results, held = tell(story, steps, RESIDENT_LIMIT_MB)
        if o.keep:
            keep(story, folder, programs, pid)
    except KeyboardInterrupt:
        sys.exit(130)
    reasons = story.end()
    for reason in reasons:
        print(f"FAILED  the end: {reason}")
    if o.json:
        with open(o.json, "w") as file:
            json.dump({"steps": results, "resident_mb": {n: round(v, 1) for n, v in story.resident_mb.items()}}, file,
                      indent=1)
    ok = held and not reasons
    print(f"\n{sum(r['ok'] for r in results)} of {len(results)} steps hold, in {time.monotonic() - began:.0f} s."
          + ("" if ok else f" Logs: {os.path.relpath(folder)}/logs"), flush=True)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
