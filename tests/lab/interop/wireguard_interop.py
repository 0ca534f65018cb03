#!/usr/bin/env python3
"""The mesh's WireGuard core against Debian's wireguard-go, over real TUN devices, in namespaces that die with this.

usage: wireguard_interop.py WG_TOOL        exit status 0: works, 1: does not, 77: cannot be tried here
"""

import os
import re
import selectors
import shutil
import subprocess
import sys
import time

PATIENCE_S = 30  # for a busy machine; what works takes a fraction of a second


def run(*command, check=True, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def within(namespace, *command, **how):
    return run("ip", "netns", "exec", namespace, *command, **how)


class Tool:
    """wg_tool in namespace `ours`."""

    def __init__(self, path, *arguments):
        self.lines = []
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", "ours", path, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest = b""

    def wait_for(self, pattern):
        """The next line that matches; those before it are passed over."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            while self.lines:
                line = self.lines.pop(0)
                print("  wg_tool:", line)
                if re.search(pattern, line):
                    return line
            if self.selector.select(0.2):
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk and self.process.poll() is not None:
                    break
                *whole, self.rest = (self.rest + chunk).split(b"\n")
                self.lines += [line.decode() for line in whole]
        raise RuntimeError(f"wg_tool never said {pattern!r}")

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        for line in self.rest.decode().splitlines() + self.process.stdout.read().decode().splitlines():
            print("  wg_tool:", line)
        if status != 0:
            raise RuntimeError(f"wg_tool ended with {status}")


def ping(namespace, address, *options, count=5):
    out = within(namespace, "ping", "-n", "-c", str(count), "-i", "0.05", "-W", "5", *options, address, check=False)
    if f" {count} received" not in out:
        raise RuntimeError(f"ping from {namespace} to {address} {' '.join(options)}: {out}")
    print(f"  ping {namespace} -> {address} {' '.join(options)}: all {count} answered")


def reach(namespace, address):
    """Until the first answer: a packet may go before wireguard-go has its sockets, and it keeps none of that time."""
    out = within(namespace, "ping", "-n", "-c", "1", "-i", "0.2", "-w", str(PATIENCE_S), address, check=False)
    if " 1 received" not in out:
        raise RuntimeError(f"ping from {namespace} to {address}: {out}")
    print(f"  ping {namespace} -> {address}: answered")


def ping_both_ways():
    ping("ours", "10.99.0.2")
    ping("theirs", "10.99.0.1")
    ping("ours", "fd99::2")
    ping("theirs", "fd99::1")
    ping("ours", "10.99.0.2", "-s", "1392", "-M", "do")  # 1420 with its headers: the MTU
    ping("theirs", "10.99.0.1", "-s", "1392", "-M", "do")
    for size in (0, 1, 15, 16, 17, 100):
        ping("ours", "10.99.0.2", "-s", str(size), count=1)
    for sender, receiver, addresses in (("ours", "theirs", ("10.99.0.2", "fd99::2")),
                                        ("theirs", "ours", ("10.99.0.1", "fd99::1"))):
        for address in addresses:
            transfer(sender, receiver, address)


RECEIVE = """
import hashlib, socket, sys
server = socket.create_server((sys.argv[1], 7777), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready", flush=True)
peer, _ = server.accept()
told = hashlib.sha256()
while piece := peer.recv(1 << 20):
    told.update(piece)
print(told.hexdigest())
"""
SEND = """
import hashlib, os, socket, sys
told = hashlib.sha256()
with socket.create_connection((sys.argv[1], 7777), timeout=30) as peer:
    for size in [1, 1367, 1368, 1369] + [100003] * 20:
        piece = os.urandom(size)
        told.update(piece)
        peer.sendall(piece)
print(told.hexdigest())
"""


def transfer(sender, receiver, address):
    """Two megabytes of TCP arrive as they were sent: large packets are split, encrypted, and joined again on the way."""
    server = subprocess.Popen(["ip", "netns", "exec", receiver, sys.executable, "-c", RECEIVE, address],
                              stdout=subprocess.PIPE, text=True)
    try:
        if server.stdout.readline() != "ready\n":
            raise RuntimeError(f"nobody listens on {address}")
        sent = within(sender, sys.executable, "-c", SEND, address)
        received = server.communicate(timeout=PATIENCE_S)[0].strip()
    finally:
        server.kill()
        server.wait()
    if sent != received:
        raise RuntimeError(f"TCP from {sender} to {address} does not arrive as it was sent")
    print(f"  TCP {sender} -> {address}: 2 MB arrived as they were sent")


def lay_wire():
    for name in ("ours", "theirs"):
        run("ip", "netns", "add", name)
        within(name, "ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "wire", "netns", "ours", "type", "veth", "peer", "name", "wire", "netns", "theirs")
    for name, number in (("ours", 1), ("theirs", 2)):
        within(name, "ip", "addr", "add", f"192.0.2.{number}/24", "dev", "wire")
        within(name, "ip", "addr", "add", f"2001:db8::{number}/64", "dev", "wire", "nodad")
        within(name, "ip", "link", "set", "wire", "up")


def bring_up_device(namespace, device, number):
    within(namespace, "ip", "addr", "add", f"10.99.0.{number}/24", "dev", device)
    within(namespace, "ip", "addr", "add", f"fd99::{number}/64", "dev", device, "nodad")
    within(namespace, "ip", "link", "set", device, "mtu", "1420", "up")


class Stock:
    """wireguard-go in namespace `theirs`."""

    def __init__(self, secret):
        self.process = subprocess.Popen(["ip", "netns", "exec", "theirs", "wireguard-go", "-f", "stock0"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while not os.path.exists("/run/wireguard/stock0.sock"):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("wireguard-go does not start")
            time.sleep(0.02)
        self.set("private-key", "/dev/stdin", "listen-port", "7000", stdin=secret)
        bring_up_device("theirs", "stock0", 2)

    def set(self, *arguments, stdin=None):
        within("theirs", "wg", "set", "stock0", *arguments, stdin=stdin)

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)


def key_pair():
    secret = run("wg", "genkey")
    return secret, run("wg", "pubkey", stdin=secret)


def story(tool_path, underlay_ours, underlay_theirs, psk, we_begin):
    our_secret, our_key = key_pair()
    their_secret, their_key = key_pair()
    stock = Stock(their_secret)
    tool = None
    try:
        tool = Tool(tool_path, "ours0", "6000", our_secret, their_key, psk or "-", "10.99.0.2/32,fd99::2/128",
                    f"{underlay_theirs}:7000" if we_begin else "-")
        tool.wait_for("ready")
        bring_up_device("ours", "ours0", 1)
        peer = ["peer", our_key, "allowed-ips", "10.99.0.1/32,fd99::1/128"]
        secret = None
        if psk:
            peer += ["preshared-key", "/dev/stdin"]
            secret = psk
        if not we_begin:
            peer += ["endpoint", f"{underlay_ours}:6000"]
        stock.set(*peer, stdin=secret)

        reach("ours" if we_begin else "theirs", "10.99.0.2" if we_begin else "10.99.0.1")
        tool.wait_for("session initiator" if we_begin else "session responder")
        ping_both_ways()

        print("  a new handshake by us, while packets flow")
        flow = subprocess.Popen(["ip", "netns", "exec", "ours", "ping", "-n", "-c", "60", "-i", "0.02", "-W", "5",
                                 "10.99.0.2"], stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            time.sleep(0.3)  # spreads the handshakes over the flow; nothing depends on how far
            tool.command("rekey")
            tool.wait_for("session initiator")
        out = flow.communicate()[0]
        if " 60 received" not in out:
            raise RuntimeError(f"packets were lost in a rekey: {out}")
        ping_both_ways()

        print("  a new handshake by wireguard-go, which has forgotten us")
        stock.set("peer", our_key, "remove")
        if we_begin:
            peer += ["endpoint", f"{underlay_ours}:6000"]
        stock.set(*peer, stdin=secret)
        reach("theirs", "10.99.0.1")
        tool.wait_for("session responder")
        ping_both_ways()

        print("  wireguard-go roams to another port")
        stock.set("listen-port", "7001")
        reach("theirs", "10.99.0.1")
        tool.wait_for("endpoint .*:7001")
        ping_both_ways()
        tool.close()
        tool = None
    finally:
        if tool:
            tool.process.kill()
            tool.process.wait()
        stock.close()


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    missing = [name for name in ("ip", "ping", "unshare", "wg", "wireguard-go") if not shutil.which(name)]
    if missing or not os.path.exists("/dev/net/tun"):
        print("skipped: no", ", ".join(missing) or "/dev/net/tun")
        return 77
    if "INTEROP_INSIDE" not in os.environ:
        # Namespaces of our own for network, mounts and processes: whatever happens, all of it ends with us.
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        if os.geteuid() != 0:
            unshare += ["--user", "--map-root-user"]
        if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
            print("skipped: no namespaces to be had")
            return 77
        os.environ["INTEROP_INSIDE"] = "1"
        os.execvp("unshare", [*unshare, sys.executable, *sys.argv])
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    lay_wire()
    for title, arguments in (
            ("we begin, IPv4, preshared key", ("192.0.2.1", "192.0.2.2", run("wg", "genpsk"), True)),
            ("wireguard-go begins, IPv4, preshared key", ("192.0.2.1", "192.0.2.2", run("wg", "genpsk"), False)),
            ("we begin, IPv6, no preshared key", ("[2001:db8::1]", "[2001:db8::2]", None, True)),
            ("wireguard-go begins, IPv6, no preshared key", ("[2001:db8::1]", "[2001:db8::2]", None, False))):
        print(title)
        story(sys.argv[1], *arguments)
    print("wireguard-go and we understand each other")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        print("FAILED:", error)
        sys.exit(1)
