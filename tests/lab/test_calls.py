#!/usr/bin/python3
"""What becomes of calls between two gateways: encrypted sound passes, silence is noticed, records outlive a crash."""
import os
import signal
import time

import harness
from network import Space, bridge, cable, plug, wait_until
from phone import Call, Phone
from speech import Voices
from stage import RECOGNISED_SHARE
from story import LISTEN_S

DOMAIN = "lab.internal"
NOTICE_LIMIT_S = 3 + 2  # what is promised, and what a busy machine may add


class CallsTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.nodes = self.machines("a", "b")
        self.a, self.b = self.nodes.values()
        for number, node in enumerate(self.nodes.values(), 1):
            bridge(node.space, "lan", f"192.168.{number}.1/24")
            node.space.forward()
            node.configure({**node.settings, "voice": {"domain": DOMAIN}})
        self.mesh(self.nodes)
        self.voices = Voices(self.folder)

    def phones(self, encryption, *people):
        """One at each node."""
        out = []
        for number, (person, node) in enumerate(zip(people, self.nodes.values()), 1):
            self.a.add_user(f"{person}@{DOMAIN}", f"word-of-{person}", "--node", node.name)
            wait_until("the user to spread", lambda: len(self.b.ask("user", "list")["users"]) == number, 5)
            space = Space(person)
            self.addCleanup(space.remove)
            cable(space, "eth0", node.space, person)
            self.addCleanup(node.space.ip, "link", "del", "dev", person)
            plug(node.space, "lan", person)
            space.set_up("eth0", f"192.168.{number}.11/24")
            space.default_route(f"192.168.{number}.1")
            out.append(Phone(space, "eth0", person, f"word-of-{person}", DOMAIN, f"192.168.{number}.1:5060", self.voices,
                             self.folder, f"{self.folder}/logs", encryption=encryption))
        for phone in out:
            phone.wait_registered()
        wait_until(f"the news of {people[1]}'s phone", lambda: any(
            p["aor"] == f"{people[1]}@{DOMAIN}" for p in self.a.ask("phones")["phones"]), 5)
        return out

    def talk(self, caller, callee, protocol, line):
        """A call in which both hear each other; the offer arrives with this protocol, and with this line as it was sent."""
        call = Call(caller, callee)
        call.ring_back_ms()
        call.answer()
        time.sleep(LISTEN_S)
        self.assertGreaterEqual(min(call.speech()), RECOGNISED_SHARE)
        offers = [[m.text for m in phone.sniffer.sip if m.start == "INVITE" and m.body_bytes][-1] for phone in (caller, callee)]
        for offer in offers:
            self.assertIn(f" {protocol} ", offer)
        lines = [[text for text in offer.split("\r\n") if text.startswith(line)] for offer in offers]
        self.assertTrue(lines[0])
        self.assertEqual(*lines)
        for node in self.nodes.values():
            streams = node.ask("calls")["calls"][0]["streams"]
            for side in ("from_caller", "from_callee"):
                self.assertGreater(streams[0][side]["packets"], 50)
        return call

    def test_sound_under_srtp_passes_and_a_call_is_known_of_after_a_crash(self):
        alice, bob = self.phones("srtp-mand", "alice", "bob")
        call = self.talk(alice, bob, "RTP/SAVP", "a=crypto:")

        audio = lambda node: node.ask("calls")["calls"][0]["audio"]
        self.assertEqual([audio(node) for node in self.nodes.values()], ["", ""])
        os.kill(bob.program.process.pid, signal.SIGSTOP)
        wait_until("the silence to be noticed", lambda: audio(self.a) and audio(self.b), NOTICE_LIMIT_S)
        self.assertEqual(audio(self.a), f"no audio from bob@{DOMAIN}: none comes through the mesh from b")
        self.assertEqual(audio(self.b), f"no audio from bob@{DOMAIN}: the phone at 192.168.2.11 sends none")
        os.kill(bob.program.process.pid, signal.SIGCONT)
        wait_until("both to be heard again", lambda: not audio(self.a) and not audio(self.b), NOTICE_LIMIT_S)

        self.a.crash()
        self.a.start()
        (ended,) = self.a.ask("calls", "--history")["calls"]
        self.assertEqual((ended["id"], ended["why"], ended["path"]), (call.call_id, "meshd stopped", "mesh"))
        self.assertGreaterEqual(ended["ended"], ended["answered"])
        (other,) = self.b.ask("calls", "--history")["calls"]
        self.assertEqual((other["id"], other["ended"], other["other"]), (call.call_id, None, "a"))
        wait_until("the mesh again", lambda: self.a.sessions() == {"b"}, 15)
        bob.hang_up()
        wait_until("the end of the call at b", lambda: self.b.ask("calls", "--history")["calls"][0]["why"] ==
                   f"hung up by bob@{DOMAIN}", 5)
        for node in self.nodes.values():
            (whole,) = node.ask("calls", "--history", "--all-nodes")["calls"]
            self.assertEqual({side["node"]: side["why"] for side in whole["sides"]},
                             {"a": "meshd stopped", "b": f"hung up by bob@{DOMAIN}"})
            self.assertEqual(whole["why"], f"hung up by bob@{DOMAIN}")
        self.assertIn("at a: meshd stopped", self.b.ctl("calls", "--history", "--all-nodes"))
        for phone in (alice, bob):
            phone.stop()

    def test_sound_under_dtls_passes(self):
        carol, dave = self.phones("dtls_srtp", "carol", "dave")
        self.talk(carol, dave, "UDP/TLS/RTP/SAVPF", "a=fingerprint:").hang_up()
        wait_until("the record", lambda: self.a.ask("calls", "--history")["calls"][0]["ended"], 5)
        for phone in (carol, dave):
            phone.stop()


if __name__ == "__main__":
    harness.main("__main__")
