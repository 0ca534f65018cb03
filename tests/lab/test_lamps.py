#!/usr/bin/python3
"""A lamp that a real centre serves: what becomes of it when the centre restarts, dies, or was only out of reach."""
import re
import time

import harness
from centre import Kamailio
from lamp import Lamp, field
from network import Space, bridge, cable, plug, wait_until
from sniffer import Sniffer

DOMAIN, CENTRE = "lab.internal", "10.0.0.2"
# After a probe was answered: the fourth unanswered one follows in 3.5 s, and 5 s of silence are an outage.
LAPSE_S = 3.6
MOVED_LIMIT_S = 5 + 5 + 10  # to know of it, the spread, and what a busy machine may add


class LampsTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        nodes = self.machines("a", "hub")
        self.a, self.hub = nodes["a"], nodes["hub"].space
        self.kamailio = Kamailio(self.hub, [CENTRE], DOMAIN, {"desk": "desk-word", "bob": "bob-word"}, f"{self.folder}/kamailio",
                                 f"{self.folder}/logs", lamps=True)
        self.kamailio.start()
        self.addCleanup(lambda: self.kamailio.program.running() and self.kamailio.kill())
        self.ear = Sniffer(self.hub, "eth0")
        bridge(self.a.space, "lan", "192.168.1.1/24")
        self.a.configure({**self.a.settings, "voice": {"domain": DOMAIN, "centre": f"sip:{CENTRE};transport=udp", "hold_down_s": 1}})
        self.a.start()
        self.a.ctl("init", "lab", "--name", "a")
        for user in ("desk", "bob"):
            self.a.add_user(f"{user}@{DOMAIN}", f"{user}-word", "--node", "a")
        space = Space("desk")
        self.addCleanup(space.remove)
        cable(space, "eth0", self.a.space, "desk")
        self.addCleanup(self.a.space.ip, "link", "del", "dev", "desk")
        plug(self.a.space, "lan", "desk")
        space.set_up("eth0", "192.168.1.77/24")
        wait_until("meshd's belief in the centre", lambda: self.a.voice_mode() == "central", 10)
        self.lamp = Lamp(space, "192.168.1.77", ("192.168.1.1", 5060), DOMAIN, "desk", "desk-word")
        self.addCleanup(self.lamp.stop)
        self.lamp.register()
        self.lamp.subscribe("bob")
        wait_until("the lamp's first NOTIFY", lambda: self.lamp.state() == "active", 5)

    def away(self, meanwhile=lambda: None):
        """The centre is out of reach for long enough to have restarted, as far as meshd can know."""
        heard = len(self.ear.sip)
        answered = lambda: any(m.cseq_method == "OPTIONS" and m.start == "200" for m in self.ear.sip[heard:])
        wait_until("an answered probe", answered, 5, 0.01)
        began = time.monotonic()
        self.switch.ip("link", "set", "dev", "hub", "down")
        meanwhile()
        time.sleep(max(0.0, began + LAPSE_S - time.monotonic()))
        self.switch.ip("link", "set", "dev", "hub", "up")

    def served_by_centre(self):
        voice = self.a.ask("voice")
        return (voice["centre_subscriptions"], voice["subscriptions"], voice["mode"]) == (1, 0, "central") and self.lamp.state() == "active"

    def deactivated(self):
        return [text for text in self.lamp.told if field(text, "Subscription-State") == "terminated;reason=deactivated"]

    def asked(self):
        """What the centre has answered to the question whether it has forgotten."""
        return [m.start for m in self.ear.sip if m.outgoing and re.search(r"^CSeq: 0 SUBSCRIBE", m.text, re.M)]

    def test_a_lamp_moves_when_its_centre_has_restarted_or_dies_and_stays_where_it_was_only_out_of_reach(self):
        self.assertTrue(self.served_by_centre())
        self.assertEqual(self.a.status()["counters"]["sip_lamps_unremembered"], 0)

        # On a machine so busy that it took the centre for lost there was no question.
        self.away()
        wait_until("the centre's answer", lambda: self.asked() or self.deactivated(), 5)
        if self.asked():
            self.assertIn(self.asked()[0], ("400", "500"))
            time.sleep(1)
            self.assertEqual((len(self.lamp.told), self.lamp.subscriptions), (1, 1))
        wait_until("the centre's service", self.served_by_centre, MOVED_LIMIT_S)

        before, asked = len(self.deactivated()), len(self.asked())
        self.away(lambda: (self.kamailio.kill(), self.kamailio.start()))
        wait_until("the lamp to be told of the restart", lambda: len(self.deactivated()) > before, MOVED_LIMIT_S)
        self.assertTrue(set(self.asked()[asked:]) <= {"481"})
        wait_until("the centre's service again", self.served_by_centre, MOVED_LIMIT_S)

        # The centre dies while meshd is away.
        last, before = self.lamp.told[-1], len(self.deactivated())
        self.a.crash()
        self.kamailio.kill()
        self.a.start()
        wait_until("the lamp to be told of the outage", lambda: len(self.deactivated()) > before, MOVED_LIMIT_S)
        told = self.deactivated()[-1]
        for name in ("Call-ID", "From", "To", "Event"):
            self.assertEqual(field(told, name), field(last, name))
        number = lambda text: int(field(text, "CSeq").split(" ")[0])
        self.assertGreater(number(told), number(last))
        wait_until("meshd's own service", lambda: self.a.ask("voice")["subscriptions"] == 1 and self.lamp.state() == "active", 5)
        self.assertEqual(self.a.voice_mode(), "island")


if __name__ == "__main__":
    harness.main("__main__")
