#!/usr/bin/python3
"""The wire, between two real namespaces."""
import harness
from network import Space, Wire


class WireTest(harness.LabTest):
    def setUp(self):
        super().setUp()
        self.near, self.far = Space("near"), Space("far")
        self.wire = Wire(f"{self.programs}/tests/lab/wire", self.near, "eth0", self.far, "eth0", f"{self.folder}/log",
                         mtu_bytes=1280)
        self.near.set_up("eth0", "10.0.0.1/24")
        self.far.set_up("eth0", "10.0.0.2/24")

    def test_a_wire_carries_delays_stops_and_carries_again(self):
        self.assertIsNotNone(self.near.ping_ms("10.0.0.2", count=3))
        self.wire.set("a delay 30", "b delay 20")
        self.assertGreaterEqual(self.near.ping_ms("10.0.0.2"), 50)
        self.wire.set("both down")
        self.assertIsNone(self.near.ping_ms("10.0.0.2"))
        self.wire.set("both up")
        self.assertIsNotNone(self.near.ping_ms("10.0.0.2"))
        self.assertIn("mtu 1280", self.far.ip("link", "show", "eth0"))


if __name__ == "__main__":
    harness.main("__main__")
