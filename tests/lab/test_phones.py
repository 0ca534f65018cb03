#!/usr/bin/python3
"""The lab itself, without meshd: phones that register straight at the centre, and what the cut does to them.

It shows that the instruments tell speech from silence, and that without a mesh the cut does end all calling.
"""
import time

import harness
from network import Failed
from offices import CENTRE
from phone import Call
from stage import RECOGNISED_SHARE, Stage
from story import LISTEN_S


class PhonesTest(harness.LabTest):
    def test_phones_call_through_the_centre_and_cannot_without_it(self):
        stage = Stage(self.programs, self.folder)
        stage.world.route_lans()
        stage.need_kamailio()
        stage.start_phones(lambda site: f"{CENTRE}:5060")

        call, ring_ms = stage.placed("alice", "bob")
        self.assertGreater(ring_ms, 4 * 10, "two round trips to the centre, at least")
        time.sleep(LISTEN_S)
        self.assertGreaterEqual(min(call.speech()), RECOGNISED_SHARE)
        voices = stage.phones["bob"].voices
        self.assertEqual(voices.recognised("bob", stage.phones["bob"].heard(call.began_s))[0], 0)
        self.assertTrue(stage.calls_at_centre(call.began_s))

        stage.need_cut()
        time.sleep(2)
        call.check_alive()
        self.assertLess(call.longest_gap_ms(stage.cut_s, time.time()), 250)
        unlucky = Call(stage.phones["carol"], stage.phones["erin"])
        with self.assertRaises(Failed):
            unlucky.ring_back_ms(limit_s=4)
        self.assertEqual(stage.end(), [])


if __name__ == "__main__":
    harness.main("__main__")
