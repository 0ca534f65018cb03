"""Network namespaces and what joins them: plain cables (veth), bridges, and wires with impairments."""
import os
import queue
import signal
import socket
import subprocess
import threading
import time

from sandbox import CLONE_NEWNET, call


class Failed(Exception):
    """Something in the lab did not do what it had to. The text is for the reader of the lab's output."""


def run(*command, input_text=None, timeout_s=30):
    """Standard output of a command that has to succeed."""
    done = subprocess.run(command, input=input_text, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def ip(*words):
    return run("ip", *words)


class Program:
    """A running program, its output in a log file. Ends by its own process id, never by name."""

    def __init__(self, space, command, log_path, env=None, stdin=subprocess.DEVNULL, stdout=None):
        self.name, self.log_path, self.command = os.path.basename(command[0]), log_path, command
        self.log = open(log_path, "ab")
        self.process = subprocess.Popen(command, stdin=stdin, stdout=stdout or self.log, stderr=self.log, env=env,
                                        preexec_fn=space.enter_in_child, start_new_session=True)
        self.pid = self.process.pid

    def running(self):
        return self.process.poll() is None

    def end(self, number=signal.SIGTERM, patience_s=5):
        """Exit status. Killed if it does not end in time, and that is a failure."""
        if self.running():
            self.process.send_signal(number)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed(f"{self.name} did not end within {patience_s} s of its signal") from None
            finally:
                self.log.close()
        return self.process.returncode

    def kill(self):
        self.end(signal.SIGKILL)

    def resident_kb(self):
        return status_kb(self.pid, "VmRSS")

    def peak_kb(self):
        return status_kb(self.pid, "VmHWM")

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_kb(pid, field):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return 0


class Space:
    """A network namespace."""

    def __init__(self, name):
        self.name = name
        ip("netns", "add", name)
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self.ip("link", "set", "lo", "up")
        # IPv6 addresses are usable at once: no neighbour has the same one here.
        self.sysctl("net.ipv6.conf.default.accept_dad", "0")
        self.sysctl("net.ipv6.conf.all.accept_dad", "0")

    def remove(self):
        os.close(self.fd)
        ip("netns", "del", self.name)

    def enter_in_child(self):
        call("setns", "setns", self.fd, CLONE_NEWNET)

    def inside(self, function):
        """What `function` returns, called in a thread of its own inside this namespace: a socket made there stays."""
        result = queue.Queue()

        def work():
            try:
                call("setns", "setns", self.fd, CLONE_NEWNET)
                result.put((function(), None))
            except BaseException as error:  # handed to the caller's thread
                result.put((None, error))

        threading.Thread(target=work, daemon=True).start()
        value, error = result.get()
        if error:
            raise error
        return value

    def run(self, *command, input_text=None, timeout_s=30, check=True):
        """Standard output of a command inside. With check=False, None where it fails."""
        done = subprocess.run(command, input=input_text, capture_output=True, text=True, timeout=timeout_s,
                              preexec_fn=self.enter_in_child)
        if done.returncode and check:
            raise Failed(f"in {self.name}: {' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout if done.returncode == 0 else None

    def ip(self, *words, check=True):
        return self.run("ip", *words, check=check)

    def start(self, command, log_path, **options):
        return Program(self, command, log_path, **options)

    def sysctl(self, name, value):
        self.run("sh", "-c", f"echo {value} > /proc/sys/{name.replace('.', '/')}")

    def forward(self):
        self.sysctl("net.ipv4.ip_forward", "1")
        self.sysctl("net.ipv6.conf.all.forwarding", "1")

    def set_up(self, device, *addresses):
        for address in addresses:
            self.ip("addr", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", "dev", device, "up")

    def default_route(self, *gateways):
        for gateway in gateways:
            self.ip("-6" if ":" in gateway else "-4", "route", "add", "default", "via", gateway)

    def answer(self, message, to, patience_s=0.2, source=None):
        """What somebody at `to`, an IPv4 address and port, answers a datagram from here; None if nothing comes."""
        def ask():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                if source:
                    s.bind(source)
                s.settimeout(patience_s)
                s.sendto(message, to)
                try:
                    return s.recv(4000)
                except OSError:
                    return None
        return self.inside(ask)

    def ping_ms(self, address, count=1, wait_s=1, interval_s=0.2):
        """Worst round trip, or None where an answer is missing."""
        text = self.run("ping", "-n", "-q", "-c", str(count), "-W", str(wait_s), "-i", str(interval_s), address,
                        check=False, timeout_s=60)
        if not text or f"{count} received" not in text:
            return None
        return float(text.rsplit("=", 1)[1].split("/")[2])


def clear(programs, spaces):
    """Ends the programs, one way or another, and removes the namespaces."""
    for program in programs:
        try:
            program.end()
        except Failed:
            pass  # killed, which is as good
    for space in spaces:
        space.remove()


def cable(a, device_a, b, device_b, mtu_bytes=1500):
    """A perfect cable between two namespaces."""
    ip("link", "add", "name", device_a, "mtu", str(mtu_bytes), "netns", a.name, "type", "veth",
       "peer", "name", device_b, "mtu", str(mtu_bytes), "netns", b.name)


def bridge(space, device, *addresses):
    """A switch inside a namespace; plug() attaches to it."""
    space.ip("link", "add", device, "type", "bridge")
    # A switch here learns and floods at once.
    space.sysctl(f"net.ipv6.conf.{device}.accept_dad", "0")
    space.set_up(device, *addresses)


def plug(space, bridge_device, device):
    space.ip("link", "set", "dev", device, "master", bridge_device)
    space.ip("link", "set", "dev", device, "up")


class Wire:
    """A cable with impairments (wire.cpp): each direction has its own, and they may change at any time."""

    number = 0

    def __init__(self, program, a, device_a, b, device_b, log_path, mtu_bytes=1500, seed=1):
        Wire.number += 1
        taps = f"wire{Wire.number}a", f"wire{Wire.number}b"
        self.log = open(log_path, "ab")
        self.process = subprocess.Popen([program, *taps, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, start_new_session=True)
        if self.process.stdout.readline() != "ready\n":
            raise Failed(f"the wire between {a.name} and {b.name} did not start: see {log_path}")
        for tap, space, device in zip(taps, (a, b), (device_a, device_b)):
            ip("link", "set", "dev", tap, "netns", space.name, "name", device, "mtu", str(mtu_bytes))

    def set(self, *settings):
        """Each is "a loss 5", "b delay 20", "both down", ...: see wire.cpp."""
        for setting in settings:
            answer = self.ask(setting)
            if answer != "ok":
                raise Failed(f"wire: {answer}")

    def counters(self):
        return self.ask("counters")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def wait_until(what, condition, limit_s, step_s=0.02):
    """Seconds until `condition` gives something true. Fails, saying `what` was waited for, after `limit_s`."""
    began = time.monotonic()
    while True:
        value = condition()
        passed_s = time.monotonic() - began
        if value:
            return passed_s
        if passed_s > limit_s:
            raise Failed(f"waited {limit_s} s for {what}, in vain")
        time.sleep(step_s)
