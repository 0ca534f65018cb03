"""Runs the lab tests of one file: python3 test_x.py BUILD_FOLDER. Each file is a process of its own, in a sandbox."""
import os
import shutil
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import sandbox
from network import Space, bridge, cable, plug
from node import Node, wait_full_mesh

SKIPPED = 77  # the exit status by which Meson knows a test that could not run here


class LabTest(unittest.TestCase):
    """`self.programs` is the folder of the build, `self.folder` an empty one for logs, kept if the test fails."""

    programs = ""

    def setUp(self):
        # baresip takes names of files up to 255 characters, and no more of them.
        self.folder = tempfile.mkdtemp(prefix=f"{self._testMethodName[:40]}-", dir=f"{self.programs}/tests/lab")
        os.mkdir(f"{self.folder}/logs")
        self.addCleanup(self.tidy_up)

    def tidy_up(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors):
            print(f"its logs: {self.folder}")
        else:
            shutil.rmtree(self.folder)


class NodesTest(LabTest):
    """Machines on one switch, 10.0.0.N each, that may run meshd. Their meshd ends cleanly after the test."""

    def machines(self, *names, link=None):
        """{name: Node}, not started. `link(space, number)` joins a machine to the switch in another way."""
        self.switch = Space("switch")
        self.addCleanup(self.switch.remove)
        bridge(self.switch, "lan")
        nodes = {}
        for number, name in enumerate(names, 1):
            space = Space(name)
            self.addCleanup(space.remove)
            if link:
                link(space, number)
            else:
                cable(space, "eth0", self.switch, name)
            plug(self.switch, "lan", name)
            space.set_up("eth0", f"10.0.0.{number}/24")
            nodes[name] = Node(space, name, self.programs, self.folder, {"mdns": False, "voice": {"enabled": False}})
            self.addCleanup(self.stop, nodes[name])
        return nodes

    def stop(self, node):
        if node.program and node.program.running():
            node.stop()

    def mesh(self, nodes):
        """Starts them all; the first invites the others."""
        for node in nodes.values():
            node.start()
        first, *others = nodes.values()
        first.ctl("init", "lab", "--name", first.name)
        for node in others:
            node.join(first.invite(node.name))
        wait_full_mesh(nodes.values(), 20, time.monotonic())


def main(module):
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} BUILD_FOLDER")
    LabTest.programs = os.path.abspath(sys.argv[1])
    try:
        sandbox.enter()
    except sandbox.Unavailable as why:
        print(why)
        sys.exit(SKIPPED)
    unittest.main(module=module, argv=[sys.argv[0]], verbosity=2, warnings="ignore")
