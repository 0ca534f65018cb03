#!/usr/bin/python3
"""The bench's own traffic, over a wire that does what it was told."""
import socket

import harness
from network import Space, Wire
from traffic import Stream


class StreamTest(harness.LabTest):
    def setUp(self):
        super().setUp()
        self.a, self.b, self.far = Space("near"), Space("far"), "10.0.0.2"
        for space in (self.a, self.b):
            self.addCleanup(space.remove)
        self.wire = Wire(f"{self.programs}/tests/lab/wire", self.a, "eth0", self.b, "eth0", f"{self.folder}/logs/wire")
        self.addCleanup(self.wire.process.stdin.close)
        self.a.set_up("eth0", "10.0.0.1/24")
        self.b.set_up("eth0", "10.0.0.2/24")
        self.stream = Stream(self)
        self.addCleanup(self.stream.close)

    def send(self, *words):
        sent, arrived = self.stream.send(words[0], self.far, 4000, *words[1:], seconds=1)
        return sent["sent"], arrived

    def test_a_call_takes_as_long_as_the_wire(self):
        self.wire.set("a delay 30")
        sent, arrived = self.send("voice", 1)
        self.assertEqual((sent, arrived["arrived"], arrived["voice"]), (50, 50, 50))
        self.assertGreaterEqual(arrived["p50_us"], 30_000)
        self.assertGreaterEqual(arrived["max_us"], arrived["p99_us"])
        self.assertGreaterEqual(arrived["p99_us"], arrived["p50_us"])

    def test_a_call_is_marked_for_expedited_forwarding(self):
        sniffed = self.b.inside(self.open_sniffer)
        self.send("voice", 0.1)
        frames = []
        while True:
            try:
                frames.append(sniffed.recv(2048))
            except BlockingIOError:
                break
        udp = [frame[14:] for frame in frames if frame[12:14] == b"\x08\x00" and frame[23] == 17]
        self.assertEqual([(packet[1], len(packet)) for packet in udp], [(46 << 2, 20 + 8 + 172)] * 5)

    @staticmethod
    def open_sniffer():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sniffer.bind(("eth0", 0))
        sniffer.setblocking(False)
        return sniffer

    def test_what_the_wire_swallows_is_missed_and_no_more(self):
        sent, arrived = self.send("blast", 50, 2000, 0.5)
        self.assertGreater(sent, 0)
        self.assertEqual((arrived["arrived"], arrived["voice"]), (sent, 0))
        self.wire.set("both loss 100")
        sent, arrived = self.send("blast", 1, 2000, 0.5)
        self.assertGreater(sent, 0)
        self.assertEqual(arrived["arrived"], 0)


if __name__ == "__main__":
    harness.main("__main__")
