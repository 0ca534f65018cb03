"""The lab's world: an Internet, a centre, three offices with their phones, a laptop, a stranger's computer, and a gateway
of the telephone network.

      alice erin          bob            carol dave
        |    |             |               |    |
      [ trento ]       [ munich ]        [ london ]      [ laptop ]   [ visitor ]   [ pstn ]
           |               |                 |               |             |            |
   --------+---------------+------ internet -+---------------+-------------+------------+
                                      |
                                     wire  (wire.cpp: delay, loss, the cut)
                                      |
                                  [ centre ]  Kamailio
"""
from network import Space, Wire, bridge, cable, plug

DOMAIN = "acme.example"
CENTRE = "203.0.113.5"
CENTRE_DELAY_MS = 10  # each way
OFFICES = {"trento": ("alice", "erin"), "munich": ("bob",), "london": ("carol", "dave")}
SITES = ("trento", "munich", "london", "laptop", "visitor", "pstn")
WITHOUT_MESHD = ("visitor", "pstn")
NUMBERS = {person: f"+4989{1000 + i}" for i, person in enumerate(("alice", "erin", "bob", "carol", "dave"))}
PASSWORDS = {person: f"{person}-has-a-password" for people in OFFICES.values() for person in people}


class Site:
    """A place with a line of its own to the Internet, and maybe a LAN behind it."""

    def __init__(self, world, number, name):
        self.name, self.space, self.number = name, Space(name), number
        self.address, self.router = f"198.51.100.{16 * number + 2}", f"198.51.100.{16 * number + 1}"
        self.address6, self.router6 = f"2001:db8:{number}::2", f"2001:db8:{number}::1"
        cable(self.space, "wan", world.internet, name)
        self.world = world
        world.internet.set_up(name, f"{self.router}/28", f"{self.router6}/64")
        self.space.set_up("wan", f"{self.address}/28", f"{self.address6}/64")
        self.space.default_route(self.router, self.router6)
        self.lan, self.people = None, {}

    def add_lan(self, people):
        self.lan, self.gateway = f"192.168.{10 * self.number}.0/24", f"192.168.{10 * self.number}.1"
        self.space.forward()
        bridge(self.space, "lan", f"{self.gateway}/24")
        for person in people:
            self.add_person(person)

    def add_person(self, person):
        space = Space(person)
        cable(space, "eth0", self.space, person)
        plug(self.space, "lan", person)
        space.set_up("eth0", f"192.168.{10 * self.number}.{11 + len(self.people)}/24")
        space.default_route(self.gateway)
        self.people[person] = space

    def phone_address(self, person):
        return f"192.168.{10 * self.number}.{11 + list(self.people).index(person)}"

    def line(self, state):
        """The cable to the Internet: "down" or "up"."""
        self.space.ip("link", "set", "wan", state)
        if state == "up":
            self.space.ip("addr", "replace", f"{self.address6}/64", "dev", "wan", "nodad")
            self.space.ip("route", "replace", "default", "via", self.router)
            self.space.ip("-6", "route", "replace", "default", "via", self.router6)


class World:
    def __init__(self, wire_program, folder):
        self.internet, self.centre = Space("internet"), Space("centre")
        self.internet.forward()
        self.wire = Wire(wire_program, self.internet, "centre", self.centre, "eth0", f"{folder}/wire.log")
        self.internet.set_up("centre", "203.0.113.1/28")
        self.centre.set_up("eth0", f"{CENTRE}/28")
        self.centre.default_route("203.0.113.1")
        self.wire.set(f"both delay {CENTRE_DELAY_MS}")
        self.sites = {name: Site(self, number, name) for number, name in enumerate(SITES, 1)}
        for name, people in OFFICES.items():
            self.sites[name].add_lan(people)
        self.sites["london"].add_person("frida")  # who has no phone until a step gives her one

    def route_lans(self):
        """For phones without a meshd in front: the Internet knows the way to every LAN."""
        for site in self.sites.values():
            if site.lan:
                self.internet.ip("route", "add", site.lan, "via", site.address)

    def office_of(self, person):
        return next(site for site in self.sites.values() if person in site.people)
