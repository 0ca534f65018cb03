#!/usr/bin/python3
"""Phones of four makers, as they are, by UDP, TCP and TLS: they register and call before and during the outage."""
import time

import harness
from centre import Kamailio
from network import wait_until
from offices import CENTRE, DOMAIN, OFFICES, PASSWORDS
from phone import Phone
from softphones import Linphone, Twinkle
from speech import Voices
from stage import NOTICE_LIMIT_S, Stage

# Who has which, and by which transport it speaks.
PHONES = {"alice": (Linphone, "udp"), "erin": (Linphone, "tls"), "bob": (Twinkle, "udp"), "carol": (Linphone, "tcp"),
          "dave": (Phone, "tls"), "frida": (Twinkle, "tcp")}
WORDS = {**PASSWORDS, "frida": "frida-has-a-password"}
CALLS = (("alice", "bob"), ("bob", "carol"), ("carol", "erin"), ("erin", "dave"), ("carol", "bob"), ("alice", "frida"),
         ("frida", "bob"))
REGISTER_LIMIT_S, CALL_LIMIT_S = 15, 8


class SoftphonesTest(harness.LabTest):
    def test_phones_of_every_make_register_and_call_before_and_during_the_outage(self):
        stage = Stage(self.programs, self.folder)
        self.start(stage)
        for caller, callee in CALLS:
            self.talk(stage, caller, callee, "central")
        stage.need_cut()
        wait_until("the offices to notice the cut", lambda: stage.modes() == {"island"}, NOTICE_LIMIT_S)
        for caller, callee in CALLS:
            self.talk(stage, caller, callee, "mesh")
        for phone in stage.phones.values():
            self.assertTrue(phone.program.running(), f"{phone.person}'s phone ended")
        self.kill_while_it_calls(stage, "bob", "dave")
        self.assertEqual(stage.end(), [])

    def start(self, stage):
        stage.start_nodes(tls=True)
        stage.join_nodes()
        stage.kamailio = Kamailio(stage.world.centre, [CENTRE], DOMAIN, WORDS, f"{self.folder}/kamailio", stage.logs)
        stage.kamailio.start()
        stage.nodes["trento"].ctl("user", "add", f"frida@{DOMAIN}", "--node", "london")
        for office, people in OFFICES.items():
            for person in people:
                stage.nodes["trento"].ctl("user", "add", f"{person}@{DOMAIN}", "--node", office)
        wait_until("the offices to find the centre alive", lambda: stage.modes() == {"central"}, NOTICE_LIMIT_S)
        for person, (make, transport) in PHONES.items():
            site = stage.world.office_of(person)
            server = f"{site.gateway}:{5061 if transport == 'tls' else 5060}"
            voices = [Voices(self.folder)] if make is Phone else []
            device = ["eth0"] if make is Phone else []
            stage.phones[person] = make(site.people[person], *device, person, WORDS[person], DOMAIN, server, *voices,
                                        self.folder, stage.logs, transport)
        wait_until("all registrations at the centre", lambda: stage.kamailio.registered() == set(PHONES), REGISTER_LIMIT_S)
        for person, (_, transport) in PHONES.items():
            if transport != "tls":
                sent = {m.text.partition("Via: SIP/2.0/")[2][:3] for m in stage.phones[person].sniffer.sip if m.start == "REGISTER"}
                self.assertEqual(sent, {transport.upper()}, person)

    def kill_while_it_calls(self, stage, caller, callee):
        """A program that is gone says no more, and its machine answers what comes for it by ICMP."""
        nodes = [stage.nodes[stage.world.office_of(person).name] for person in (caller, callee)]
        stage.phones[caller].call(f"sip:{callee}@{DOMAIN}")
        for node in nodes:
            wait_until(f"the call of {caller} and {callee} to ring in {node.name}",
                       lambda node=node: [call for call in node.ask("calls")["calls"] if call["state"] == "ringing"], CALL_LIMIT_S)
        stage.phones[caller].stop()
        for node in nodes:
            wait_until(f"its end in {node.name}", lambda node=node: not node.ask("calls")["calls"], CALL_LIMIT_S)

    def talk(self, stage, caller, callee, path):
        phones, began_s = stage.phones, time.time()
        nodes = [stage.nodes[stage.world.office_of(person).name] for person in (caller, callee)]
        phones[caller].call(f"sip:{callee}@{DOMAIN}")
        if isinstance(phones[callee], Phone):
            phones[callee].answer(began_s)

        def up(node):
            return [call["path"] for call in node.ask("calls")["calls"] if call["state"] == "up" and callee in call["to"]]

        for node in nodes:
            wait_until(f"the call of {caller} and {callee} in {node.name}", lambda node=node: up(node), CALL_LIMIT_S)
            self.assertEqual(set(up(node)), {path})
        phones[caller].hang_up()
        for node in nodes:
            wait_until(f"its end in {node.name}", lambda node=node: not node.ask("calls")["calls"], CALL_LIMIT_S)


if __name__ == "__main__":
    harness.main("__main__")
