"""The stage of the demonstration: its world, with daemons, server and phones, brought up as far as a step needs it."""
import os
import time

from centre import Kamailio
from gateway import Gateway
from name_server import NameServer
from network import Failed, wait_until
from node import Node, wait_full_mesh
from offices import CENTRE, DOMAIN, NUMBERS, OFFICES, PASSWORDS, WITHOUT_MESHD, World
from phone import Call, Phone
from reception import Reception
from sniffer import Sniffer
from speech import Voices

PORT = 51820
NOTICE_LIMIT_S = 15           # until every office knows what has become of the centre
RECOGNISED_SHARE = 0.8        # of the pieces of speech that were heard


class Stage:
    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.logs = f"{folder}/logs"
        self.world = World(f"{programs}/tests/lab/wire", self.logs)
        self.nodes, self.phones, self.others = {}, {}, []
        self.kamailio = self.dns = self.pstn = self.call = self.unlucky = self.cut_s = self.reception = None
        self.resident_mb = {}

    # what the steps stand on

    def start_nodes(self, tls=False):
        for name, site in self.world.sites.items():
            if name in WITHOUT_MESHD:
                continue
            settings = {"listen_port": PORT, "voice": {"enabled": False}}
            if site.lan:
                settings["voice"] = {"domain": DOMAIN, "centre": f"sip:{CENTRE}:5060;transport=udp",
                                     "enum": {"servers": [f"{CENTRE}:53"]}}
                if tls:
                    settings["voice"]["tls"] = {}
            if name == "trento":
                settings["voice"]["trunks"] = [{"name": "pstn", "server": f"sip:{self.world.sites['pstn'].address}"}]
            if name == "laptop":
                settings["bootstrap"] = [f"{self.world.sites['munich'].address}:{PORT}"]
            self.nodes[name] = Node(site.space, name, self.programs, self.folder, settings)
            self.nodes[name].start()

    def need_mesh(self):
        """Seconds from the last join to a full mesh, the first time."""
        if self.nodes:
            return None
        site = self.world.sites["pstn"]
        self.pstn = Gateway(site.space, "wan", site.address, self.logs)
        self.start_nodes()
        return self.join_nodes()

    def join_nodes(self):
        first, *others = self.nodes.values()
        lan = lambda node: ["--subnet", site.lan] if (site := self.world.sites[node.name]).lan else []
        first.ctl("init", "acme", "--name", first.name, *lan(first))
        for node in others:
            node.join(first.invite(node.name, *lan(node)))
        return wait_full_mesh(self.nodes.values(), 20, time.monotonic())

    def need_kamailio(self):
        if self.kamailio is None:
            self.kamailio = Kamailio(self.world.centre, [CENTRE], DOMAIN, PASSWORDS, f"{self.folder}/kamailio", self.logs)
            self.at_centre = Sniffer(self.world.centre, "eth0")
            self.kamailio.start()

    def need_phones(self):
        """Every phone is registered at the centre, through its office."""
        if self.phones:
            return
        self.need_mesh()
        self.need_kamailio()
        for office, people in OFFICES.items():
            for person in people:
                # The centre has the passwords; the mesh only has to know where each of them may be.
                self.nodes["trento"].ctl("user", "add", f"{person}@{DOMAIN}", "--node", office,
                                         "--number", NUMBERS[person])
        wait_until("the offices to find the centre alive", lambda: self.modes() == {"central"}, NOTICE_LIMIT_S)
        self.start_phones(lambda site: f"{site.gateway}:5060")

    def start_phones(self, server_of):
        self.voices = Voices(self.folder)
        for office, people in OFFICES.items():
            site = self.world.sites[office]
            for person in people:
                # London's phones have TCP, as some do.
                self.phones[person] = Phone(site.people[person], "eth0", person, PASSWORDS[person], DOMAIN,
                                            server_of(site), self.voices, self.folder, self.logs,
                                            "tcp" if office == "london" else "udp")
        for phone in self.phones.values():
            phone.wait_registered()
        wait_until("all registrations at the centre", lambda: self.kamailio.registered() == set(PASSWORDS), 5)

    def modes(self):
        return {self.nodes[name].voice_mode() for name in OFFICES}

    def need_dns(self):
        """BIND beside the centre knows bob's number (RFC 6116)."""
        if self.dns is None:
            digits = ".".join(reversed(NUMBERS["bob"].lstrip("+")))
            zone = (f"$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A {CENTRE}\n"
                    f'{digits} IN NAPTR 10 10 "u" "E2U+sip" "!^.*$!sip:bob@{DOMAIN}!" .\n')
            self.dns = NameServer(self.world.centre, CENTRE, {"e164.arpa": zone}, {}, f"{self.folder}/named", self.logs)
            self.dns.start()

    def need_cut(self):
        """The centre is gone: its line swallows everything, and the server on it is killed."""
        if self.cut_s is None:
            self.world.wire.set("both down")
            self.cut_s = time.time()
            self.kamailio.kill()
            if self.dns:
                self.dns.stop()

    def need_known_cut(self):
        self.need_phones()
        self.need_cut()
        wait_until("the offices to notice the cut", lambda: self.modes() == {"island"}, NOTICE_LIMIT_S)

    def need_reception(self):
        """A user of whom the centre knows nothing, beside erin's phone: the mesh has the password."""
        if self.reception is None:
            site = self.world.sites["trento"]
            self.nodes["trento"].add_user(f"reception@{DOMAIN}", "front-desk-word", "--node", "trento")
            self.reception = Reception(site.people["erin"], site.phone_address("erin"), f"{site.gateway}:5060", DOMAIN,
                                       "front-desk-word", self.folder, self.logs)

    def need_call(self):
        """Alice and bob talk."""
        if self.call is None or self.call.closed():
            self.call = self.placed("alice", "bob")[0]

    def placed(self, caller, callee):
        """(a call that has been answered, ms until its ring-back)."""
        call = Call(self.phones[caller], self.phones[callee])
        ring_ms = call.ring_back_ms()
        call.answer()
        return call, ring_ms

    def calls_at_centre(self, since_s):
        return [m for m in self.at_centre.sip if m.start == "INVITE" and not m.outgoing and m.at_s >= since_s]

    @staticmethod
    def recognised(call, last_s=None):
        """The smaller of both ways' shares of recognised speech."""
        there, back = call.speech(last_s)
        if min(there, back) < RECOGNISED_SHARE:
            raise Failed(f"of the speech, {there:.0%} was recognised by {call.callee.person}'s phone and {back:.0%} by "
                         f"{call.caller.person}'s")
        return min(there, back)

    def quiet_phones(self):
        """After a failed step: no call is left over."""
        for phone in self.phones.values():
            for _ in range(4):
                if phone.program.running():
                    phone.hang_up()
        self.call = None

    # the end

    def measure_memory(self):
        self.resident_mb = {name: node.resident_mb() for name, node in self.nodes.items()
                            if name in OFFICES and node.program.running()}

    def end(self):
        """Everything stops cleanly; reasons where it does not."""
        reasons = []
        for thing in (*self.phones.values(), *self.nodes.values()):
            try:
                if thing.program and thing.program.running():
                    thing.stop()
            except Failed as failure:
                reasons.append(str(failure))
        for thing in (self.dns, self.pstn):
            if thing:
                thing.stop()
        if self.kamailio and self.kamailio.program and self.kamailio.program.running():
            self.kamailio.kill()
        return reasons

    def log_files(self):
        names = [f"{self.logs}/{name}" for name in sorted(os.listdir(self.logs))]
        return [name for name in names if os.path.getsize(name)]
