#!/usr/bin/python3
"""The lab itself, without meshd: phones that register straight at the centre, and what the cut does to them.

It shows that the instruments tell speech from silence, and that without a mesh the cut does end all calling.
"""
import time

import harness
from network import Failed
from offices import CENTRE
from phone import Call
from story import LISTEN_S, RECOGNISED_SHARE, Story


class PhonesTest(harness.LabTest):
    def test_phones_call_through_the_centre_and_cannot_without_it(self):
        story = Story(self.programs, self.folder)
        story.world.route_lans()
        story.need_kamailio()
        story.start_phones(lambda site: f"{CENTRE}:5060")

        call, ring_ms = story.placed("alice", "bob")
        self.assertGreater(ring_ms, 4 * 10, "two round trips to the centre, at least")
        time.sleep(LISTEN_S)
        self.assertGreaterEqual(min(call.speech()), RECOGNISED_SHARE)
        voices = story.phones["bob"].voices
        self.assertEqual(voices.recognised("bob", story.phones["bob"].heard(call.began_s))[0], 0)
        self.assertTrue(story.calls_at_centre(call.began_s))

        story.need_cut()
        time.sleep(2)
        call.check_alive()
        self.assertLess(call.longest_gap_ms(story.cut_s, time.time()), 250)
        unlucky = Call(story.phones["carol"], story.phones["erin"])
        with self.assertRaises(Failed):
            unlucky.ring_back_ms(limit_s=4)
        self.assertEqual(story.end(), [])


if __name__ == "__main__":
    harness.main("__main__")
