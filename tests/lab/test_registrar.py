#!/usr/bin/python3
"""Two offices without any central server: meshd is the registrar, and calls go over the mesh."""
import hashlib
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import harness
from network import Space, bridge, cable, plug, wait_until
from phone import Call, Phone
from reception import Reception, lamp_states, messages_heard
from sniffer import Sniffer
from speech import Voices
from stage import RECOGNISED_SHARE
from story import LISTEN_S

DOMAIN = "lab.internal"
MALFORMED = (
    b"INVITE sip:bob@lab.internal SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.99:5060;branch=z9hG4bKa\r\nFrom: <sip:x@y>;tag=1\r\n"
    b"To: <sip:bob@lab.internal>\r\nCall-ID: a\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n",
    b"INVITE sip:bob@lab.internal SIP/2.0\r\n\r\n", b"\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n", bytes(range(256)) * 4)


def register(person, password):
    """The status of a REGISTER with that password, from 192.168.1.99."""
    md5 = lambda *parts: hashlib.md5(":".join(parts).encode()).hexdigest()
    uri, credentials = f"sip:{DOMAIN}", ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("192.168.1.99", 5060))
        s.settimeout(2)
        for number in (1, 2):
            s.sendto((f"REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.99:5060;branch=z9hG4bK{person}{number}\r\n"
                      f"From: <sip:{person}@{DOMAIN}>;tag=1\r\nTo: <sip:{person}@{DOMAIN}>\r\nCall-ID: {person}\r\n"
                      f"CSeq: {number} REGISTER\r\nContact: <sip:{person}@192.168.1.99>\r\nMax-Forwards: 70\r\n{credentials}"
                      "Content-Length: 0\r\n\r\n").encode(), ("192.168.1.1", 5060))
            answer = s.recv(2000).decode()
            if not answer.startswith("SIP/2.0 401"):
                break
            said = dict(re.findall(r'(\w+)="([^"]*)"', answer))
            nonce, realm = said["nonce"], said["realm"]
            response = md5(md5(person, realm, password), nonce, "00000001", "x", "auth", md5("REGISTER", uri))
            credentials = (f'Authorization: Digest username="{person}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
                           f'response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="x"\r\n')
    return answer.split(" ")[1]


class RegistrarTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.nodes = self.machines("a", "b")
        self.lans = {}
        for number, node in enumerate(self.nodes.values(), 1):
            bridge(node.space, "lan", f"192.168.{number}.1/24")
            node.space.forward()
            node.configure({**node.settings, "voice": {"domain": DOMAIN, "tls": {}}})
        self.mesh(self.nodes)
        self.voices = Voices(self.folder)

    def phone(self, office, person, password, port=5060, transport="udp"):
        number = list(self.nodes).index(office) + 1
        space = Space(person)
        self.addCleanup(space.remove)
        cable(space, "eth0", self.nodes[office].space, person)
        self.addCleanup(self.nodes[office].space.ip, "link", "del", "dev", person)
        plug(self.nodes[office].space, "lan", person)
        self.lans[office] = self.lans.get(office, 10) + 1
        space.set_up("eth0", f"192.168.{number}.{self.lans[office]}/24")
        space.default_route(f"192.168.{number}.1")
        return Phone(space, "eth0", person, password, DOMAIN, f"192.168.{number}.1:{port}", self.voices, self.folder,
                     f"{self.folder}/logs", transport)

    def test_phones_register_with_their_password_only_and_call_over_the_mesh(self):
        self.nodes["a"].add_user(f"alice@{DOMAIN}", "word-of-alice", "--node", "a", "--number", "201")
        self.nodes["a"].add_user(f"bob@{DOMAIN}", "word-of-bob", "--node", "any", "--number", "202")
        self.nodes["a"].add_user(f"carol@{DOMAIN}", "word-of-carol", "--node", "a")
        users = lambda: len(self.nodes["b"].ask("user", "list")["users"])
        wait_until("the users to spread", lambda: users() == 3, 5)

        alice, bob = self.phone("a", "alice", "word-of-alice"), self.phone("b", "bob", "word-of-bob")
        alice.wait_registered()
        bob.wait_registered()
        liar = self.phone("b", "carol", "word-of-bob")
        wait_until("the refusal", lambda: any(m.start in ("401", "403") and not m.outgoing for m in liar.sniffer.sip), 5)
        time.sleep(1)
        self.assertFalse(liar.sniffer.registered())

        wait_until("the news of bob's phone", lambda: any(
            p["aor"] == f"bob@{DOMAIN}" for p in self.nodes["a"].ask("phones")["phones"]), 5)
        for dialled in (None, f"sip:202@{DOMAIN}"):
            call = Call(alice, bob, dialled)
            call.ring_back_ms()
            call.answer()
            time.sleep(LISTEN_S)
            self.assertGreaterEqual(min(call.speech()), RECOGNISED_SHARE)
            self.assertEqual([c["path"] for c in self.nodes["a"].ask("calls")["calls"]], ["mesh"])
            call.hang_up()
        wait_until("the end of all calls", lambda: not self.nodes["a"].ask("calls")["calls"], 5)
        for phone in (alice, bob, liar):
            phone.stop()

    def reception(self, password="front-desk-word"):
        """A lamp and messages, by sipp, at office a; and the sniffer there."""
        space = Space("desk")
        self.addCleanup(space.remove)
        cable(space, "eth0", self.nodes["a"].space, "desk")
        self.addCleanup(self.nodes["a"].space.ip, "link", "del", "dev", "desk")
        plug(self.nodes["a"].space, "lan", "desk")
        space.set_up("eth0", "192.168.1.77/24")
        space.default_route("192.168.1.1")
        self.nodes["a"].add_user(f"reception@{DOMAIN}", password, "--node", "a")
        return (Reception(space, "192.168.1.77", "192.168.1.1:5060", DOMAIN, password, self.folder, f"{self.folder}/logs"),
                Sniffer(space, "eth0"))

    def test_a_lamp_follows_calls_of_another_office_after_its_node_was_killed_too(self):
        for person in ("bob", "carol"):
            self.nodes["a"].add_user(f"{person}@{DOMAIN}", f"word-of-{person}", "--node", "b")
        desk, ear = self.reception()
        wait_until("the users to spread", lambda: len(self.nodes["b"].ask("user", "list")["users"]) == 3, 5)
        bob, carol = self.phone("b", "bob", "word-of-bob"), self.phone("b", "carol", "word-of-carol")
        for phone in (bob, carol):
            phone.wait_registered()
        wait_until("the news of the phones", lambda: len(self.nodes["a"].ask("phones")["phones"]) == 2, 5)
        for _ in range(2):
            began_s = time.time()
            sipp = desk.start("lamp", "bob")
            states = lambda began_s=began_s: [state for _, state in lamp_states(ear, began_s)]
            wait_until("the first NOTIFY", states, 5)
            call = Call(carol, bob)
            call.ring_back_ms()
            wait_until("the lamp to blink", lambda: "early" in states(), 5)
            call.answer()
            wait_until("the lamp to stay on", lambda: "confirmed" in states(), 5)
            call.hang_up()
            wait_until("the lamp to go out", lambda: "terminated" in states(), 5)
            desk.finish(sipp)
            self.assertEqual(states(), ["none", "early", "confirmed", "terminated"])
            self.nodes["a"].crash()
            self.nodes["a"].start()
            wait_until("the nodes to meet", lambda: len(self.nodes["a"].ask("phones")["phones"]) == 2, 10)

    def test_a_message_waits_for_its_recipient_though_its_node_is_killed(self):
        self.nodes["a"].add_user(f"frida@{DOMAIN}", "word-of-frida", "--node", "b")
        desk, _ = self.reception()
        wait_until("the users to spread", lambda: len(self.nodes["b"].ask("user", "list")["users"]) == 2, 5)
        desk.leave_message("frida")
        self.nodes["a"].crash()  # kill -9, at once after the 202
        self.nodes["a"].start()
        self.assertEqual([m["count"] for m in self.nodes["a"].ask("messages")["messages"]], [1])
        began_s = time.time()
        frida = self.phone("b", "frida", "word-of-frida")
        frida.wait_registered()
        wait_until("the message", lambda: messages_heard(frida.sniffer, began_s), 15)
        wait_until("the sender's node to hear of it", lambda: not self.nodes["a"].ask("messages")["messages"], 5)
        for node in self.nodes.values():  # nobody brings it again
            node.crash()
            node.start()
        wait_until("the nodes to meet", lambda: self.nodes["a"].ask("phones")["phones"], 10)
        time.sleep(2)
        self.assertEqual(len(messages_heard(frida.sniffer, began_s)), 1)

    def test_a_phone_comes_by_tls_and_is_called_by_its_connection(self):
        self.nodes["a"].add_user(f"dave@{DOMAIN}", "word-of-dave", "--node", "a")
        self.nodes["a"].add_user(f"erin@{DOMAIN}", "word-of-erin", "--node", "b")
        wait_until("the users to spread", lambda: len(self.nodes["b"].ask("user", "list")["users"]) == 2, 5)
        dave = self.phone("a", "dave", "word-of-dave", 5061, "tls")
        erin = self.phone("b", "erin", "word-of-erin")
        erin.wait_registered()
        for office, person in (("a", "erin"), ("b", "dave")):
            wait_until(f"the news of {person}'s phone", lambda: any(
                p["aor"] == f"{person}@{DOMAIN}" for p in self.nodes[office].ask("phones")["phones"]), 5)

        shown = dave.space.inside(lambda: ssl.get_server_certificate(("192.168.1.1", 5061)))
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest().upper()
        tls = self.nodes["a"].ask("voice")["tls"]
        self.assertEqual(tls["fingerprint"].replace(":", ""), digest)
        self.assertEqual((tls["port"], tls["own"]), (5061, True))

        for caller, callee in ((erin, dave), (dave, erin)):
            began_s = time.time()
            caller.command("dial", f"sip:{callee.person}@{DOMAIN}")
            callee.answer(began_s)
            for phone in (caller, callee):
                phone.wait_for("CALL_ESTABLISHED", began_s, 10)
            time.sleep(LISTEN_S)
            for ear, mouth in ((caller, callee), (callee, caller)):
                self.assertGreaterEqual(self.voices.recognised(mouth.person, ear.heard(began_s))[0], RECOGNISED_SHARE)
            caller.hang_up()
            for phone in (caller, callee):
                phone.wait_for("CALL_CLOSED", began_s, 5)
        self.assertFalse(dave.sniffer.sip, "what passes there cannot be read")

        def garbage():
            with socket.create_connection(("192.168.1.1", 5061)) as s:
                s.sendall(MALFORMED[0])
                while s.recv(2000):
                    pass
        dave.space.inside(garbage)
        self.assertIn("TLS: ", self.nodes["a"].ask("voice")["tls_trouble"])
        for phone in (dave, erin):
            phone.stop()

    def test_phones_that_registered_just_before_the_end_are_known_after_it(self):
        node, people = self.nodes["a"], ("fay", "gus", "hal")
        for person in people:
            node.add_user(f"{person}@{DOMAIN}", f"word-of-{person}", "--node", "a")
        space = self.stranger()
        registered = space.inside(lambda: [register(person, f"word-of-{person}") for person in people])
        self.assertEqual(node.program.end(), 0)
        self.assertEqual(registered, ["200"] * 3)
        node.start()
        self.assertEqual({phone["aor"] for phone in node.ask("phones")["phones"]}, {f"{person}@{DOMAIN}" for person in people})

    def stranger(self):
        """Somebody at 192.168.1.99, in the LAN of a."""
        space = Space("stranger")
        self.addCleanup(space.remove)
        cable(space, "eth0", self.nodes["a"].space, "stranger")
        self.addCleanup(self.nodes["a"].space.ip, "link", "del", "dev", "stranger")
        plug(self.nodes["a"].space, "lan", "stranger")
        space.set_up("eth0", "192.168.1.99/24")
        return space

    def test_500_phones_that_come_at_once_after_a_restart_are_all_answered_by_tcp_and_tls(self):
        node, space, phones = self.nodes["a"], self.stranger(), 500
        hosts = [f"192.168.1.{host}" for host in range(100, 250)]
        for host in hosts:
            space.ip("addr", "add", f"{host}/24", "dev", "eth0")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        def bound(number):
            connection = socket.socket()
            connection.bind((hosts[number % len(hosts)], 0))
            connection.settimeout(60)
            return connection

        def status(number, connection, port):
            connection.connect(("192.168.1.1", port))
            if port == 5061:
                connection = context.wrap_socket(connection)
            connection.sendall((
                f"REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.1.100;branch=z9hG4bK{number}\r\nFrom: <sip:p@{DOMAIN}>;tag=1\r\n"
                f"To: <sip:p@{DOMAIN}>\r\nCall-ID: {number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:p@192.168.1.100>\r\nMax-Forwards: 70\r\n"
                "Content-Length: 0\r\n\r\n").encode())
            return connection, connection.recv(4000).decode().split("\r\n")[0]

        node.add_user(f"p@{DOMAIN}", "word-of-p", "--node", "a")
        for port in (5060, 5061):
            node.crash()
            node.start()
            connections = space.inside(lambda: [bound(number) for number in range(phones)])
            with ThreadPoolExecutor(phones) as pool:
                answers = list(pool.map(status, range(phones), connections, [port] * phones))
            self.assertEqual({answer for _, answer in answers}, {"SIP/2.0 401 Unauthorized"})
            self.assertEqual(node.ask("voice")["connections"], phones)
            counters = node.ask("status", "--counters")["counters"]
            for name in ("refused_connections", "refused_handshakes", "tls_failed", "times_overloaded", "shed"):
                self.assertEqual(counters[f"sip_{name}"], 0, name)
            for connection, _ in answers:
                connection.close()

    def test_malformed_messages_get_400_or_silence(self):
        space = self.stranger()

        def ask():
            answers = []
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind(("192.168.1.99", 5060))
                s.settimeout(0.5)
                for message in MALFORMED:
                    s.sendto(message, ("192.168.1.1", 5060))
                try:
                    while True:
                        answers.append(s.recv(2000))
                except TimeoutError:
                    return answers

        for answer in space.inside(ask):
            self.assertTrue(answer.startswith(b"SIP/2.0 400"), answer)
        self.assertEqual(self.nodes["a"].voice_mode(), "registrar")


if __name__ == "__main__":
    harness.main("__main__")
