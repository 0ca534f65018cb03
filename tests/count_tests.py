#!/usr/bin/env python3
"""Adds up the test cases in Meson's logs and in the demo's result.

  count_tests.py FILE...     each a testlog.json of Meson, or what demo --json wrote

Prints the name of every failure, and "PASSED FAILED SKIPPED".
"""
import json
import os
import re
import sys

CATCH_ALL = re.compile(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)")
CATCH_SOME = re.compile(r"^test cases:\s*(\d+)\s*\|.*?(\d+) failed", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in", re.M)
UNITTEST_BAD = re.compile(r"(?:failures|errors)=(\d+)")


def cases(test):
    """(passed, failed, skipped) of one test program."""
    text, result = test.get("stdout", "") + test.get("stderr", ""), test["result"]
    if result == "SKIP":
        return 0, 0, 1
    good = result in ("OK", "EXPECTEDFAIL")
    if good and (match := CATCH_ALL.search(text)):
        return int(match.group(1)), 0, 0
    if good and (match := UNITTEST.search(text)):
        return int(match.group(1)), 0, 0
    if match := CATCH_SOME.search(text):
        return int(match.group(1)) - int(match.group(2)), max(1, int(match.group(2))), 0
    if match := UNITTEST.search(text):
        bad = sum(map(int, UNITTEST_BAD.findall(text))) or 1
        return max(0, int(match.group(1)) - bad), bad, 0
    return (1, 0, 0) if good else (0, 1, 0)


def results_of(path):
    """(name, (passed, failed, skipped)) of everything in one file."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.startswith("{") and "\n" in text and '"steps"' in text[:20]:
        for step in json.loads(text)["steps"]:
            yield "demo: " + step["name"], ((1, 0, 0) if step["ok"] else (0, 1, 0))
        return
    for line in text.splitlines():
        test = json.loads(line)
        yield test["name"], cases(test)


def main():
    total = [0, 0, 0]
    for path in sys.argv[1:]:
        if not os.path.exists(path):
            print(f"failed: {path} was never written")
            total[1] += 1
            continue
        for name, counted in results_of(path):
            total = [a + b for a, b in zip(total, counted)]
            if counted[1]:
                print(f"failed: {name} ({path})")
    print(*total)


if __name__ == "__main__":
    main()
