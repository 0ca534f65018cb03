#!/usr/bin/python3
"""Where every call runs through a B2BUA: what becomes of those that are up when it dies.

Kamailio keeps the registrations, hands each call to a B2BUA beside it, and what that one calls to whom it is for. sipp's
leaves the media alone: past it a call is answered, held, resumed and ended as ever. baresip's module b2bua carries the media
itself: nothing can go on, but whoever hangs up is done with it."""
import time

import harness
from b2bua import PORT, BaresipB2bua, SippB2bua
from centre import Kamailio
from network import wait_until
from offices import CENTRE, DOMAIN, PASSWORDS
from phone import Call
from stage import NOTICE_LIMIT_S, RECOGNISED_SHARE, Stage

LISTEN_S = 6
GAP_LIMIT_MS = 500  # in what a phone hears once the call is resumed
IN_CALL_LIMIT_S = 6  # Kamailio says after two seconds that a B2BUA is silent; and what a busy machine may add


class B2buaTest(harness.LabTest):
    def test_calls_outlive_the_b2bua_that_they_run_through_or_end_when_somebody_hangs_up(self):
        self.stage = stage = Stage(self.programs, self.folder)
        centre = stage.world.centre
        stage.kamailio = Kamailio(centre, [CENTRE], DOMAIN, PASSWORDS, f"{self.folder}/kamailio", stage.logs, b2bua_port=PORT)
        stage.kamailio.start()
        stage.need_phones()
        alice, erin, bob, carol, dave = stage.phones.values()

        carrier = BaresipB2bua(centre, CENTRE, f"{self.folder}/b2bua", stage.logs)
        self.up("alice", "bob")
        carrier.kill()
        for person in ("alice", "bob"):
            stage.phones[person].hang_up()
            self.over(stage.world.office_of(person).name, "bob")

        b2bua = SippB2bua(centre, CENTRE, stage.logs)
        between, within = self.up("alice", "bob"), self.up("carol", "dave")
        b2bua.kill()  # alone: Kamailio says that it is silent
        self.change("hold", alice, bob)
        self.change("resume", alice, bob)
        self.change("hold", dave, carol)  # who is of the same office
        self.end(between, "trento", "munich")
        self.end(within, "london")

        b2bua = SippB2bua(centre, CENTRE, stage.logs)
        between, late = self.up("alice", "bob"), Call(erin, carol)
        late.ring_back_ms()
        b2bua.kill()
        stage.need_cut()
        carol.answer(late.began_s)  # before anybody can know
        self.change("hold", bob, alice)
        for phone in (erin, carol):
            phone.wait_for("CALL_ESTABLISHED", late.began_s, NOTICE_LIMIT_S)
        wait_until("the offices to notice the cut", lambda: stage.modes() == {"island"}, NOTICE_LIMIT_S)
        self.change("resume", bob, alice)
        resumed_s = time.time()
        time.sleep(LISTEN_S)
        self.assertLess(between.longest_gap_ms(resumed_s, time.time()), GAP_LIMIT_MS)
        self.assertGreaterEqual(min(late.speech()), RECOGNISED_SHARE)
        self.assertEqual(len(carol.seen("CALL_INCOMING", late.began_s)), 1)
        self.change("hold", carol, erin)
        self.end(between, "trento", "munich")
        self.end(late, "trento", "london")
        self.assertEqual(stage.end(), [])

    def up(self, caller, callee):
        """A call that has been answered, through the B2BUA: the caller's phone and the callee's know it by different names."""
        call, _ = self.stage.placed(caller, callee)
        heard = [m.call_id for m in call.callee.sniffer.sip if m.start == "INVITE" and not m.outgoing and m.at_s >= call.began_s]
        self.assertTrue(heard)
        self.assertNotIn(call.call_id, heard)
        return call

    def change(self, what, one, other):
        """One end holds the call, or resumes it, and the other is told so; that ends as each offer does."""
        began_s, direction = time.time(), {"hold": "sendonly", "resume": "sendrecv"}[what]

        def passed(phone, start, text=""):
            return any(m.start == start and m.cseq_method in ("INVITE", "ACK") and not m.outgoing and m.at_s >= began_s and text in m.text
                       for m in list(phone.sniffer.sip))

        one.command(what)
        for phone, start, text in ((other, "INVITE", f"a={direction}"), (one, "200", ""), (other, "ACK", "")):
            wait_until(f"{start} at {phone.person}'s phone as {one.person} tells it to {what}", lambda: passed(phone, start, text),
                       IN_CALL_LIMIT_S)

    def over(self, office, callee):
        calls = lambda: [call for call in self.stage.nodes[office].ask("calls")["calls"] if callee in call["to"]]
        wait_until(f"the end of the call to {callee} in {office}", lambda: not calls(), IN_CALL_LIMIT_S)

    def end(self, call, *offices):
        call.hang_up()
        for office in offices:
            self.over(office, call.callee.person)
        told = self.stage.nodes[offices[0]].ask("calls", "--history", "--all-nodes")["calls"]
        ids = [{side["id"] for side in one["sides"]} for one in told]
        self.assertEqual([len(names) for names in ids if call.call_id in names], [2])


if __name__ == "__main__":
    harness.main("__main__")
