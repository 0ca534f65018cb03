"""The story that the demo tells and checks, a method a step. What a step needs, it brings up itself if it is not there.

A step returns (figure, unit, sentence), or raises Failed. Limits are the project's promises, not guesses.
"""
import time

from network import Failed, Space, bridge, cable, plug, wait_until
from node import Node, wait_full_mesh
from offices import CENTRE, DOMAIN, NUMBERS, PASSWORDS
from phone import Call, Phone
from reception import lamp_states, messages_heard
from stage import NOTICE_LIMIT_S, PORT, Stage
from wireguard import StockPeer

LAMP_LIMIT_MS, MESSAGE_LIMIT_MS = 500, 1000
MESH_LIMIT_S, UNLUCKY_LIMIT_MS, MESH_CALL_LIMIT_MS, FAILBACK_LIMIT_S, RESIDENT_LIMIT_MB = 5, 1500, 300, 90, 20
TRANSFER_LIMIT_MS = 1000
GAP_LIMIT_MS = 250            # of audio, when nothing happens to its path
PSTN_LIMIT_MS = 3000          # of which those who wait for DNS, before a trunk is taken
OUTSIDE_NUMBER = "+442079460148"
LISTEN_S = 6
AFTER_CUT_S = 12              # longer than it may take to notice

STEPS = ("mesh-up", "ping", "throughput", "mdns", "stock-wireguard", "call-number", "call-central", "call-survives",
         "call-unlucky", "call-number-offline", "call-pstn-out", "call-mesh", "transfer-offline", "call-island",
         "lamp-offline", "message-offline", "failback", "crash")


def at_most(limit, value, what):
    if value > limit:
        raise Failed(f"{what}: {value:.0f}, and {limit} is the limit")


class Story(Stage):
    def run(self, step):
        return getattr(self, step.replace("-", "_"))()

    def mesh_up(self):
        seconds = self.need_mesh()
        at_most(MESH_LIMIT_S, seconds, "seconds to a full mesh")
        return seconds, "s", "three offices and a laptop, each but the first with an invitation, all see each other"

    def ping(self):
        self.need_mesh()
        worst_ms = 0.0
        for node in self.nodes.values():
            for other in self.nodes.values():
                for address in other.addresses() if other is not node else []:
                    round_trip_ms = node.space.ping_ms(address, count=3, interval_s=0.02)
                    if round_trip_ms is None:
                        raise Failed(f"{other.name} ({address}) does not answer {node.name}")
                    worst_ms = max(worst_ms, round_trip_ms)
        sites = self.world.sites
        if sites["trento"].people["alice"].ping_ms(sites["munich"].phone_address("bob"), count=3) is None:
            raise Failed("alice's phone does not reach bob's, from LAN to LAN")
        return worst_ms, "ms", "every pair answers through the tunnel, IPv4 and IPv6, and LAN to LAN; the worst round trip"

    def throughput(self):
        self.need_mesh()
        return self.iperf_gbit_s(self.nodes["trento"], self.nodes["munich"]), "Gbit/s", "one TCP flow, trento to munich"

    def iperf_gbit_s(self, sender, receiver, seconds=3):
        server = receiver.space.start(["iperf3", "-s", "-1"], f"{self.logs}/iperf3.log")
        address = receiver.addresses()[0]
        wait_until("iperf3", lambda: "5201" in receiver.space.run("ss", "-Htln"), 5)
        text = sender.space.run("iperf3", "-c", address, "-t", str(seconds), "-f", "g", timeout_s=seconds + 20)
        server.process.wait(5)
        return float(next(line for line in text.splitlines() if "receiver" in line).split("Gbits/sec")[0].split()[-1])

    def mdns(self):
        """Two members meet on a LAN where neither has been: what they remember of each other is of no use."""
        left, right, switch = Space("left"), Space("right"), Space("hotel")
        bridge(switch, "lan")
        nodes = []
        for number, space in enumerate((left, right), 1):
            cable(space, "eth0", switch, space.name)
            plug(switch, "lan", space.name)
            space.set_up("eth0", f"10.1.1.{number}/24")
            nodes.append(Node(space, space.name, self.programs, self.folder,
                              {"listen_port": PORT, "voice": {"enabled": False}}))
            nodes[-1].start()
        self.others += nodes
        nodes[0].ctl("init", "pair", "--name", "left")
        nodes[1].join(nodes[0].invite("right"))
        wait_full_mesh(nodes, 10, time.monotonic())
        for number, node in enumerate(nodes, 1):
            node.stop()
            node.space.ip("link", "set", "eth0", "down")
            node.space.ip("addr", "flush", "dev", "eth0")
            node.space.ip("link", "set", "eth0", "address", f"02:00:00:00:22:{10 * number}")
            node.space.set_up("eth0", f"10.2.2.{10 * number}/24")
        began = time.monotonic()
        for node in nodes:
            node.start()
        seconds = wait_full_mesh(nodes, 15, began)
        if nodes[0].ask("peers")["peers"][0]["via"] != "mdns" and nodes[1].ask("peers")["peers"][0]["via"] != "mdns":
            raise Failed("they are in session, but found each other by something else")
        for node in nodes:
            node.stop()
        return seconds, "s", "two laptops on a hotel's LAN, with no uplink and no known address, are in session"

    def stock_wireguard(self):
        self.need_mesh()
        trento = self.nodes["trento"]
        began = time.monotonic()
        stock = StockPeer(self.world.sites["visitor"].space, "wg0", trento.ctl("stock", "visitor"), self.folder, self.logs)
        round_trip = []
        answered = lambda: round_trip.append(stock.space.ping_ms(trento.addresses()[0])) or round_trip[-1] is not None
        wait_until("an office's answer to the stock peer", answered, 10)
        seconds = time.monotonic() - began
        stock.stop()
        return seconds, "s", "a stock wireguard-go, given the configuration that meshctl printed, pings an office"

    def call_number(self):
        """The gateway asks ENUM, gets the URI, and hands the call to the proxy, which finds the user."""
        self.need_phones()
        self.need_dns()
        uri = self.pstn.ask_enum(NUMBERS["bob"], CENTRE)
        if uri != f"sip:bob@{DOMAIN}":
            raise Failed(f"BIND says {uri} of {NUMBERS['bob']}")
        ring_ms = self.from_pstn(uri)
        return ring_ms, "ms", (f"a telephone calls {NUMBERS['bob']}: its gateway (sipp) asks BIND for ENUM, gets {uri}, hands the "
                               "call to trento's meshd, and bob's phone rings in munich; INVITE to ring-back")

    def from_pstn(self, uri):
        """ms to ring-back of a call from the gateway to bob, which he answers."""
        began_s = time.time()
        caller = self.pstn.call(uri, self.world.sites["trento"].address)
        self.phones["bob"].answer(began_s)
        if caller.process.wait(15) != 0:
            raise Failed("the gateway's call did not end as it should")
        return self.pstn.sniffer.ring_back_ms(self.pstn.sniffer.invites(began_s)[0])

    def call_number_offline(self):
        self.need_known_cut()
        if self.call:
            self.call.hang_up()
            self.call = None
        if self.pstn.ask_enum(NUMBERS["bob"], CENTRE, patience_s=1) is not None:
            raise Failed("BIND still answers")
        call = Call(self.phones["alice"], self.phones["bob"], f"sip:{NUMBERS['bob']}@{DOMAIN}")
        ring_ms = call.ring_back_ms()
        at_most(MESH_CALL_LIMIT_MS, ring_ms, "ms to ring-back")
        call.answer()
        call.hang_up()
        self.from_pstn(f"sip:{NUMBERS['bob']}@{DOMAIN}")
        return ring_ms, "ms", (f"no DNS, no centre: alice dials {NUMBERS['bob']} and bob's phone rings; so it does for a telephone, "
                               "by the gateway; INVITE to ring-back")

    def call_pstn_out(self):
        self.need_known_cut()
        carol, began_s = self.phones["carol"], time.time()
        carol.command("dial", f"sip:{OUTSIDE_NUMBER}@{DOMAIN}")
        carol.wait_for("CALL_ESTABLISHED", began_s, 15)
        if self.pstn.called()[-1] != f"sip:{OUTSIDE_NUMBER}@{self.world.sites['pstn'].address}":
            raise Failed("another call than carol's has come to the gateway")
        ring_ms = carol.sniffer.ring_back_ms(carol.sniffer.invites(began_s)[0])
        at_most(PSTN_LIMIT_MS, ring_ms, "ms to ring-back")
        carol.hang_up()
        wait_until("the end of the call", lambda: not self.nodes["trento"].ask("calls")["calls"] or self.call, 5)
        return ring_ms, "ms", (f"carol in london dials {OUTSIDE_NUMBER}, which DNS, dead too, cannot tell: the call goes through "
                               "the mesh to trento's trunk, and the gateway answers; INVITE to ring-back")

    def call_central(self):
        self.need_phones()
        began_s = time.time()
        self.need_call()
        time.sleep(LISTEN_S)
        share = self.recognised(self.call)
        if not self.calls_at_centre(began_s):
            raise Failed("they talk, but the call did not go through the centre")
        return share * 100, "%", "alice in trento calls bob in munich through Kamailio; speech recognised, both ways"

    def call_survives(self):
        """Ends after call-unlucky has been placed: that call has to come in the first second after the same cut."""
        self.need_phones()
        self.need_call()
        time.sleep(1)
        self.need_cut()
        self.place_unlucky()
        time.sleep(max(0.0, self.cut_s + AFTER_CUT_S - time.time()))
        self.call.check_alive()
        gap_ms = self.call.longest_gap_ms(self.cut_s - 1, time.time())
        at_most(GAP_LIMIT_MS, gap_ms, "ms without audio")
        self.recognised(self.call, last_s=LISTEN_S)
        self.call.hang_up()
        self.call = None
        return gap_ms, "ms", "the centre is cut during the call, and they talk on and hang up; longest gap in the audio"

    def place_unlucky(self):
        time.sleep(max(0.0, self.cut_s + 0.3 - time.time()))
        self.unlucky = Call(self.phones["carol"], self.phones["erin"])

    def call_unlucky(self):
        if self.cut_s is None:
            self.need_phones()
            self.need_cut()
            self.place_unlucky()
        if self.unlucky is None:
            raise Failed("no call was placed in the first second after the cut")
        placed_ms = (self.unlucky.began_s - self.cut_s) * 1e3
        ring_ms = self.unlucky.ring_back_ms()
        at_most(UNLUCKY_LIMIT_MS, ring_ms, "ms to ring-back")
        self.unlucky.answer()
        time.sleep(LISTEN_S)
        self.recognised(self.unlucky)
        self.unlucky.hang_up()
        return ring_ms, "ms", (f"carol in london called erin in trento {placed_ms:.0f} ms after the cut, before anybody "
                               "could know; INVITE to ring-back")

    def call_mesh(self):
        self.need_known_cut()
        if self.call:
            self.call.hang_up()
        self.call, ring_ms = self.placed("alice", "bob")
        at_most(MESH_CALL_LIMIT_MS, ring_ms, "ms to ring-back")
        time.sleep(LISTEN_S)
        self.recognised(self.call)
        return ring_ms, "ms", "alice calls bob over the mesh, with no centre, and both hear each other; INVITE to ring-back"

    def transfer_offline(self):
        self.need_known_cut()
        self.need_call()
        alice, bob, carol = (self.phones[person] for person in ("alice", "bob", "carol"))
        began_s, self.call = self.call.began_s, None
        call = Call(alice, carol, handed_over_by=bob)
        call.ring_back_ms()
        ring_ms = alice.sniffer.ring_back_ms(call.call_id, since_s=call.began_s)
        at_most(TRANSFER_LIMIT_MS, ring_ms, "ms to ring-back")
        call.answer()
        wait_until("the end of the first call at bob's phone", lambda: bob.seen("CALL_CLOSED", began_s), 5)
        time.sleep(LISTEN_S)
        self.recognised(call)
        call.hang_up()
        return ring_ms, "ms", ("with no centre, bob in munich hands alice in trento over to carol in london, and they hear each "
                               "other; command to ring-back")

    def call_island(self):
        self.need_known_cut()
        london = self.world.sites["london"]
        london.line("down")
        try:
            call, ring_ms = self.placed("carol", "dave")
            time.sleep(LISTEN_S)
            self.recognised(call)
            call.hang_up()
        finally:
            london.line("up")
        address = self.nodes["london"].addresses()[0]
        for name in ("trento", "munich"):
            wait_until(f"{name} to reach london again", lambda: self.nodes[name].space.ping_ms(address, count=1) is not None, 10)
        return ring_ms, "ms", "london has lost its Internet line; carol calls dave, two rooms away; INVITE to ring-back"

    def lamp_offline(self):
        self.need_known_cut()
        self.need_reception()
        began_s = time.time()
        ear = self.phones["erin"].sniffer
        states = lambda: lamp_states(ear, began_s)
        sipp = self.reception.start("lamp", "dave")
        wait_until("the lamp's first NOTIFY", states, 5)
        call = Call(self.phones["carol"], self.phones["dave"])
        call.ring_back_ms()
        wait_until("the lamp to blink", lambda: any(state == "early" for _, state in states()), 5, 0.01)
        rang_s = next(m.at_s for m in self.phones["dave"].sniffer.sip
                      if m.start == "180" and m.outgoing and m.at_s >= call.began_s)
        lit_ms = (next(at_s for at_s, state in states() if state == "early") - rang_s) * 1e3
        call.answer()
        wait_until("the lamp to stay on", lambda: states()[-1][1] == "confirmed", 5)
        call.hang_up()
        wait_until("the lamp to go out", lambda: states()[-1][1] == "terminated", 5)
        self.reception.finish(sipp)
        at_most(LAMP_LIMIT_MS, lit_ms, "ms to the lamp")
        return lit_ms, "ms", ("trento's front desk has a lamp for dave in london, and no centre: it blinks, stays on and goes "
                              "out with his call; from his phone's 180 to the lamp")

    def message_offline(self):
        self.need_known_cut()
        self.need_reception()
        trento, london = self.nodes["trento"], self.world.sites["london"]
        trento.add_user(f"frida@{DOMAIN}", "word-of-frida", "--node", "london")
        wait_until("the news of frida", lambda: any(
            user["aor"] == f"frida@{DOMAIN}" for user in self.nodes["london"].ask("user", "list")["users"]), 5)
        self.reception.leave_message("frida")
        if [m["count"] for m in trento.ask("messages")["messages"]] != [1]:
            raise Failed("202 was answered, but trento has no message")
        began_s = time.time()
        frida = Phone(london.people["frida"], "eth0", "frida", "word-of-frida", DOMAIN, f"{london.gateway}:5060", self.voices,
                      self.folder, self.logs)
        frida.wait_registered()
        wait_until("the message", lambda: messages_heard(frida.sniffer, began_s), 5, 0.01)
        registered_s = next(m.at_s for m in frida.sniffer.sip if m.start == "200" and m.cseq_method == "REGISTER")
        came_ms = (messages_heard(frida.sniffer, began_s)[0] - registered_s) * 1e3
        wait_until("trento to hear that it has come", lambda: not trento.ask("messages")["messages"], 5)
        frida.stop()
        at_most(MESSAGE_LIMIT_MS, came_ms, "ms to the message")
        return came_ms, "ms", ("frida in london had no phone when the front desk wrote to her, and no centre: from her phone's "
                               "registration to the message")

    def failback(self):
        self.need_known_cut()
        self.need_call()
        kept = self.call
        began_s, began = time.time(), time.monotonic()
        self.kamailio.start()  # it has forgotten every registration
        self.world.wire.set("both up")
        limit_s = FAILBACK_LIMIT_S + 30
        wait_until("all registrations at the centre", lambda: self.kamailio.registered() == set(PASSWORDS), limit_s, 0.2)
        wait_until("the offices to go back", lambda: self.modes() == {"central"}, limit_s, 0.2)
        call, _ = self.placed("erin", "carol")
        seconds = time.monotonic() - began
        if not self.calls_at_centre(began_s):
            raise Failed("the new call did not go through the centre")
        time.sleep(LISTEN_S)
        self.recognised(call)
        call.hang_up()
        kept.check_alive()
        self.recognised(kept, last_s=LISTEN_S)
        at_most(GAP_LIMIT_MS, kept.longest_gap_ms(began_s, time.time()), "ms without audio in the call kept up meanwhile")
        kept.hang_up()
        self.call = self.cut_s = None
        at_most(FAILBACK_LIMIT_S, seconds, "seconds")
        return seconds, "s", "the centre returns, knowing nobody; all phones and calls are there again, no call dropped"

    def crash(self):
        self.need_phones()
        trento = self.nodes["trento"]
        members = trento.members()
        began = time.monotonic()
        trento.crash()
        trento.start()
        while True:
            call = Call(self.phones["alice"], self.phones["carol"])
            try:
                call.ring_back_ms(limit_s=2)
                break
            except Failed:
                self.phones["alice"].hang_up()
                if time.monotonic() - began > 20:
                    raise
        seconds = time.monotonic() - began
        call.answer()
        time.sleep(LISTEN_S)
        self.recognised(call)
        call.hang_up()
        if trento.members() != members:
            raise Failed("the roster is not what it was before the crash")
        return seconds, "s", "trento's meshd is killed and started again; alice calls, and the roster is what it was"
