"""What the bench sends over a link: TCP by iperf3, small packets and voice by the lab's stream program."""
import json
import statistics
import subprocess
import time

from network import Failed, wait_until

FLOW_S, WARM_UP_S = 4, 1
VOICE_S = 5
QUIET_S = 0.3  # after which nothing more is expected
BLAST_S, LOSS_LIMIT, FIRST_RATE, LOWEST_RATE, HALVINGS = 0.7, 0.01, 20_000, 500, 3
PORT = 4000


class Tcp:
    """iperf3 from A to B, or both ways at once."""

    def __init__(self, link, seconds, flows=1, both=False):
        log = f"{link.folder}/logs/iperf3.log"
        self.server = link.b.start(["iperf3", "-s", "-1"], log)
        wait_until("iperf3", lambda: "5201" in link.b.run("ss", "-Htln"), 5)
        self.seconds = seconds
        command = ["iperf3", "-c", link.far, "-t", str(seconds), "-O", str(WARM_UP_S), "-P", str(flows), "-J"]
        self.client = link.a.start(command + ["--bidir"] * both, log, stdout=subprocess.PIPE)

    def bit_s(self):
        """Waits for its end. What B received a second."""
        try:
            text, _ = self.client.process.communicate(timeout=self.seconds + WARM_UP_S + 20)
            self.server.process.wait(5)
        except subprocess.TimeoutExpired:
            self.client.kill()
            self.server.kill()
            raise Failed("iperf3 did not come to its end") from None
        report = json.loads(text)
        if "error" in report:
            raise Failed(f"iperf3: {report['error']}")
        return report["end"]["sum_received"]["bits_per_second"]


def ping_ms(link, count, every_s):
    """The median of a ping's round trips, which one stumble of the machine does not move; of those that are answered."""
    text = link.a.run("ping", "-n", "-c", str(count), "-i", str(every_s), link.far, timeout_s=60, check=False) or ""
    trips = [float(line.split("time=")[1].split()[0]) for line in text.splitlines() if "time=" in line]
    if not trips:
        raise Failed(f"none of {count} pings was answered")
    return statistics.median(trips)


class Stream:
    """The receiver at B, and the senders at A."""

    def __init__(self, link):
        self.link, self.program = link, f"{link.programs}/tests/lab/stream"
        self.receiver = link.b.start([self.program, "receive", str(PORT)], f"{link.folder}/logs/stream.log",
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.line() != "ready":
            raise Failed(f"the receiver of the stream did not start: see {link.folder}/logs/stream.log")

    def line(self):
        return self.receiver.process.stdout.readline().decode().strip()

    def ask(self, command):
        """{"arrived": packets, "voice": packets, "p99_us": ...} since the last "forget"."""
        self.receiver.process.stdin.write(f"{command}\n".encode())
        self.receiver.process.stdin.flush()
        return numbers(self.line())

    def send(self, *words, seconds):
        """({"sent": packets, "seconds": s}, what arrived)"""
        self.ask("forget")
        sent = numbers(self.link.a.run(self.program, *map(str, words), timeout_s=seconds + 20))
        arrived, quiet_since = self.ask("tell"), time.monotonic()
        # What is still on its way, in a queue before a slow line say, is not lost.
        while arrived["arrived"] < sent["sent"] and time.monotonic() - quiet_since < QUIET_S:
            time.sleep(0.02)
            before, arrived = arrived, self.ask("tell")
            if arrived["arrived"] > before["arrived"]:
                quiet_since = time.monotonic()
        return sent, arrived

    def voice(self):
        """(99th percentile of the one-way delay in ms, packets lost)"""
        sent, arrived = self.send("voice", self.link.far, PORT, VOICE_S, seconds=VOICE_S)
        if not arrived["voice"]:
            raise Failed("no packet of the voice stream arrived")
        return arrived["p99_us"] / 1000, sent["sent"] - arrived["voice"]

    def blast(self, flows, rate):
        """(packets a second that arrived, whether few enough were lost)"""
        sent, arrived = self.send("blast", self.link.far, PORT, flows, rate, BLAST_S, seconds=BLAST_S)
        return arrived["arrived"] / sent["seconds"], arrived["arrived"] >= (1 - LOSS_LIMIT) * sent["sent"]

    def small_packets(self, flows):
        """The most packets a second that arrived at a rate of which less than LOSS_LIMIT was lost.

        What survives a flood would tell less: it is mostly what the sender leaves to the daemons of the two processors,
        and a tunnel that drops early looks better by it than one that queues. So the rate is doubled until it is too
        much, then the gap is halved. A machine stumbles at times, so a rate has failed only when it failed twice.
        """
        best, good, bad, rate, halvings = 0, None, None, FIRST_RATE, 0
        while halvings <= HALVINGS and rate >= LOWEST_RATE:
            arrived, carried = self.blast(flows, rate)
            if not carried:
                arrived, carried = self.blast(flows, rate)
            if carried:
                good, best = rate, max(best, arrived)
                if arrived < 0.8 * rate:  # the sender itself can do no more
                    break
            else:
                bad = rate
            if good and bad:
                rate = (good * bad) ** 0.5
                halvings += 1
            else:
                rate = rate * 2 if good else rate / 2
        return best

    def close(self):
        self.receiver.process.stdin.close()
        self.receiver.process.wait(5)


def numbers(line):
    words = line.split()
    return {name: float(value) for name, value in zip(words[::2], words[1::2])}
