#!/usr/bin/env python3
"""Two namespaces joined by one wire: members of one mesh find each other by mDNS, strangers learn nothing, and an
avahi-daemon beside us is not disturbed. Usage: check.py MDNS-NODE. Exit status 77 where namespaces cannot be made."""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE_S = 30  # how long a thing may take before it counts as not happening


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


class Process:
    """A program whose lines can be waited for."""

    def __init__(self, command):
        self.lines = []
        self.waiting = queue.Queue()
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            if os.environ.get("VERBOSE"):
                print(f"{time.monotonic():.2f} {self.child.pid} {line}", end="")
            self.waiting.put(line.rstrip("\n"))
        self.waiting.put(None)

    def next(self, deadline):
        try:
            line = self.waiting.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        if line is not None:
            self.lines.append(line)
        return line

    def expect(self, what, true_of):
        started = time.monotonic()
        while (line := self.next(started + PATIENCE_S)) is not None:
            if true_of(line):
                print(f"  {time.monotonic() - started:6.2f} s  {what}: {line}")
                return line
        raise AssertionError(f"{what}: not within {PATIENCE_S} s; it said {self.lines}")

    def has_said(self, what, true_of):
        """As expect(), of what it said before, too: two things that happen at once come in either order."""
        if said := next(filter(true_of, self.lines), None):
            print(f"  before   {what}: {said}")
        else:
            self.expect(what, true_of)

    def drain(self):
        while not self.waiting.empty():
            self.next(time.monotonic())
        return self.lines

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


class Namespace:
    """A network namespace (and mounts of its own) that lives as long as the process that holds it, which ends with us
    as its standard input does."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", "echo up; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "up\n":
            skip("no network namespace can be made here: " + self.holder.stderr.read().strip())
        self.pid = str(self.holder.pid)

    def command(self, *words):
        return ["nsenter", "--target", self.pid, "--net", "--mount", "--", *words]

    def run(self, *words):
        return subprocess.run(self.command(*words), check=True, capture_output=True, text=True).stdout

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Lab:
    def __init__(self, node):
        self.node = node
        self.processes = []
        self.left, self.right = Namespace(), Namespace()
        # From inside: a user's namespaces may be joined only there.
        wire = subprocess.run(self.left.command("ip", "link", "add", "wire", "type", "veth",
                                                "peer", "name", "wire", "netns", self.right.pid),
                              capture_output=True, text=True)
        if wire.returncode != 0:
            skip("no veth can be made here: " + wire.stderr.strip())
        for namespace, address in ((self.left, "10.9.0.1/24"), (self.right, "10.9.0.2/24")):
            namespace.run("ip", "addr", "add", address, "dev", "wire")
            namespace.run("ip", "link", "set", "wire", "up")
            namespace.run("ip", "link", "set", "lo", "up")

    def start(self, namespace, *words):
        process = Process(namespace.command(*words))
        self.processes.append(process)
        return process

    def start_node(self, namespace, key, name, port):
        process = self.start(namespace, self.node, key, name, str(port))
        process.expect(f"{name} runs", lambda line: line == "ready")
        return process

    def close(self):
        for process in self.processes:
            process.stop()
        self.left.close()
        self.right.close()


def both_families(name, port, ipv4):
    def true_of(line):
        return line.startswith(f"found {name} ") and f"{ipv4}:{port}" in line and f"]:{port}" in line and "[fe80::" in line
    return true_of


def check(lab):
    print("two members and a stranger on one wire")
    a = lab.start_node(lab.left, "k", "A", 7001)
    b = lab.start_node(lab.right, "k", "B", 7002)
    stranger = lab.start_node(lab.right, "x", "X", 7003)
    a.expect("A finds B", both_families("B", 7002, "10.9.0.2"))
    b.expect("B finds A", both_families("A", 7001, "10.9.0.1"))
    a.has_said("A meets a stranger", lambda line: line.startswith("strangers "))

    print("B gets another address")
    lab.right.run("ip", "addr", "del", "10.9.0.2/24", "dev", "wire")
    lab.right.run("ip", "addr", "add", "10.9.0.77/24", "dev", "wire")
    a.expect("A learns of it", both_families("B", 7002, "10.9.0.77"))

    print("B leaves")
    assert b.stop() == 0, "B did not end well"
    a.expect("A learns of it", lambda line: line == "lost B")

    print("an avahi-daemon on B's machine")
    daemon = None
    if os.environ.get("ONE_USER"):
        print("  (needs root, as it changes its user: left out)")
    elif shutil.which("avahi-daemon", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")):
        daemon = start_avahi_daemon(lab)
    else:
        print("  (not installed: left out)")
    c = lab.start_node(lab.right, "k", "C", 7004)
    a.expect("A finds C", both_families("C", 7004, "10.9.0.77"))
    c.expect("C finds A", both_families("A", 7001, "10.9.0.1"))
    if daemon:
        said = daemon.drain()
        assert daemon.child.poll() is None, f"avahi-daemon ended: {said}"
        assert not any("conflict" in line.lower() or "collision" in line.lower() for line in said), said
    found = [line for line in stranger.drain() if line.startswith("found ")]
    assert not found, f"a stranger found somebody: {found}"
    for process in (a, c, stranger):
        assert process.stop() == 0, "a node did not end well"


def start_avahi_daemon(lab):
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
        file.write("[server]\nhost-name=officebox\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=no\n"
                   "[publish]\npublish-addresses=yes\npublish-workstation=yes\n")
    # Its process file and socket go to a folder that only this namespace sees.
    daemon = lab.start(lab.right, "sh", "-c",
                       "mount -t tmpfs none /run && mkdir /run/avahi-daemon && "
                       f"exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f {file.name}")
    daemon.expect("avahi-daemon runs", lambda line: "Server startup complete" in line)
    os.unlink(file.name)
    return daemon


def main():
    node = os.path.abspath(sys.argv[1])
    if os.geteuid() != 0:
        if subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode != 0:
            skip("neither root nor user namespaces here")
        os.environ["ONE_USER"] = "1"
        os.execvp("unshare", ["unshare", "-Urm", sys.executable, os.path.abspath(__file__), node])
    lab = Lab(node)
    try:
        check(lab)
    finally:
        lab.close()
    print("all found whom they should, and nobody else")


if __name__ == "__main__":
    main()
