"""Runs the lab tests of one file: python3 test_x.py BUILD_FOLDER. Each file is a process of its own, in a sandbox."""
import os
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import sandbox

SKIPPED = 77  # the exit status by which Meson knows a test that could not run here


class LabTest(unittest.TestCase):
    """`self.programs` is the folder of the build, `self.folder` an empty one for logs, kept if the test fails."""

    programs = ""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix=f"{self._testMethodName}-", dir=f"{self.programs}/tests/lab")
        os.mkdir(f"{self.folder}/logs")
        self.addCleanup(self.tidy_up)

    def tidy_up(self):
        if any(trouble for _, trouble in self._outcome.result.failures + self._outcome.result.errors):
            print(f"its logs: {self.folder}")
        else:
            shutil.rmtree(self.folder)


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
