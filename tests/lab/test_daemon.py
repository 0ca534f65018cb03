#!/usr/bin/python3
"""The daemon's start and end, and what it does with bad input from outside."""
import os
import socket
import subprocess

import harness
from network import wait_until


class DaemonTest(harness.NodesTest):
    def refused(self, node):
        """What meshd says when it does not start."""
        done = subprocess.run([f"{self.programs}/meshd/meshd", "--config", f"{node.folder}/meshd.json", "--state",
                               f"{node.folder}/state", "--control", f"{node.control}.other"], capture_output=True,
                              text=True, timeout=20, preexec_fn=node.space.enter_in_child)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_an_unknown_key_is_refused_with_file_and_line(self):
        node = self.machines("a")["a"]
        with open(f"{node.folder}/meshd.json", "w") as file:
            file.write('{\n  // a comment\n  "listen_prot": 51820\n}\n')
        self.assertIn("meshd.json:3", self.refused(node))

    def test_a_second_meshd_on_the_same_state_refuses_to_start(self):
        node = self.machines("a")["a"]
        node.start()
        self.assertIn(str(node.program.pid), self.refused(node))
        self.assertIsNotNone(node.ctl("status"))

    def test_a_spoilt_state_file_is_an_error_never_an_empty_roster(self):
        node = self.machines("a")["a"]
        node.start()
        node.ctl("init", "lab", "--name", "a")
        node.stop()
        for name in os.listdir(f"{node.folder}/state"):
            if name.startswith("state.db-"):
                os.remove(f"{node.folder}/state/{name}")
        with open(f"{node.folder}/state/state.db", "r+b") as file:
            file.write(b"not a database" * 100)
        self.assertIn("state.db", self.refused(node))

    def test_a_full_disk_is_an_error_at_the_start(self):
        node = self.machines("a")["a"]
        os.makedirs(f"{node.folder}/state", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", f"{node.folder}/state"], check=True)
        self.addCleanup(subprocess.run, ["umount", f"{node.folder}/state"], check=True)
        with open(f"{node.folder}/state/ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        self.assertRegex(self.refused(node), "(?i)disk is full|no space left")

    def test_a_datagram_from_an_address_that_is_nobodys_is_dropped_unread(self):
        node = self.machines("a")["a"]
        node.start()
        node.ctl("init", "lab", "--name", "a")
        node.space.ip("addr", "add", "100::5/128", "dev", "lo")  # a stream's endpoint, as the node names them
        self.addCleanup(node.space.ip, "addr", "del", "100::5/128", "dev", "lo")
        send = "import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('100::5', 1)); s.sendto(bytes(148), ('::1', 51820))"
        subprocess.run(["python3", "-c", send], check=True, preexec_fn=node.space.enter_in_child)
        wait_until("the drop", lambda: node.status()["counters"].get("drop_forged_source", 0) == 1, 5)

    def test_a_clean_exit_leaves_no_device_route_or_rule(self):
        nodes = self.machines("a", "b")
        self.mesh(nodes)
        self.assertNotEqual(nodes["a"].traces(), nodes["a"].before)
        nodes["a"].stop()  # checks it
        nodes["a"].start()
        wait_until("the mesh of before", lambda: nodes["a"].sessions() == {"b"}, 10)

    def test_strangers_get_no_answer_and_are_counted(self):
        node = self.machines("a", "stranger")
        a, stranger = node["a"], node["stranger"].space
        a.start()
        a.ctl("init", "lab", "--name", "a")
        dropped = lambda: sum(
            count for name, count in a.status()["counters"].items() if name.startswith("drop_"))
        before = dropped()

        def ask():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(0.5)
                for datagram in (b"", b"hello", bytes([1, 0, 0, 0]) + bytes(144), bytes([4, 0, 0, 0]) + bytes(60),
                                 bytes([7, 0, 0, 0]) + bytes(400), bytes(1400)):
                    s.sendto(datagram, ("10.0.0.1", 51820))
                try:
                    return s.recv(2000)
                except TimeoutError:
                    return None

        self.assertIsNone(stranger.inside(ask))
        wait_until("the count of dropped datagrams", lambda: dropped() >= before + 5, 5)


if __name__ == "__main__":
    harness.main("__main__")
