#!/usr/bin/python3
"""A router in front of meshd that maps its port: Debian's miniupnpd, by each protocol that it speaks."""
import os
import time

import harness
from network import Space, cable, wait_until
from node import Node, wait_full_mesh
from router import Router

OUTSIDE = "9.0.0.1:51820"  # no private address, and no example's: miniupnpd maps nothing at those


class PortMapTest(harness.LabTest):
    def setUp(self):
        super().setUp()
        self.spaces = {name: Space(name) for name in ("home", "router", "away")}
        home, router, away = self.spaces.values()
        cable(home, "eth0", router, "lan")
        cable(away, "eth0", router, "wan")
        router.set_up("lan", "192.168.1.1/24")
        router.set_up("wan", "9.0.0.1/24")
        away.set_up("eth0", "9.0.0.2/24")
        home.set_up("eth0", "192.168.1.7/24")
        home.default_route("192.168.1.1")
        router.default_route("9.0.0.2")
        quiet = {"mdns": False, "voice": {"enabled": False}, "dns": False}
        self.home, self.away = (Node(self.spaces[name], name, self.programs, self.folder, quiet) for name in ("home", "away"))
        self.router = None
        self.addCleanup(self.clear)

    def clear(self):
        for node in (self.home, self.away):
            if node.program and node.program.running():
                node.stop()
        if self.router:
            self.router.stop()
        for space in self.spaces.values():
            space.remove()

    def start(self, *speaks):
        self.router = Router(self.spaces["router"], self.folder, speaks)
        self.router.start()
        self.home.start()
        self.home.ctl("init", "lab", "--name", "home")

    def mapping(self):
        return self.home.status()["port_mappings"][0]

    def wait_mapped(self, limit_s=10):
        wait_until("the mapping", lambda: self.mapping()["published"], limit_s)
        self.assertEqual(self.mapping()["external"], OUTSIDE)
        self.assertEqual(self.home.status()["node"]["endpoints"][0], OUTSIDE)
        self.assertEqual(self.router.mapped(), [51820])

    def reached_by(self, method, *speaks):
        """Who is outside gets in by what is mapped, and only by that: home does not know where it is."""
        self.start(*speaks)
        self.wait_mapped()
        self.assertEqual(self.mapping()["method"], method)
        self.assertEqual(self.mapping()["gateway"], "192.168.1.1")
        self.assertGreater(self.mapping()["lifetime_left_s"], 100)
        self.away.start()
        self.away.join(self.home.invite("away"))
        wait_full_mesh((self.home, self.away), 10, time.monotonic())
        peer = next(peer for peer in self.away.ask("peers")["peers"] if peer["name"] == "home")
        self.assertEqual(peer["endpoint"], OUTSIDE)
        self.home.stop()
        self.assertEqual(self.router.mapped(), [])

    def test_pcp(self):
        self.reached_by("PCP", "pcp", "upnp")

    def test_nat_pmp(self):
        self.reached_by("NAT-PMP", "nat-pmp")

    def test_upnp(self):
        self.reached_by("UPnP", "upnp")

    def test_a_router_and_a_meshd_that_fall_over_have_the_mapping_again(self):
        self.start("pcp")
        # A clock that goes back by a second or two is forgiven, so it has to go on for longer first.
        wait_until("the router's clock", lambda: self.router.epoch_s(self.spaces["home"]) > 3, 10, 0.2)
        self.home.stop()
        self.home.start()
        self.wait_mapped()
        self.router.restart()
        wait_until("the mapping after the router's fall", lambda: self.router.mapped() == [51820], 10)
        # Whoever showed the router another nonce now would be refused.
        self.home.crash()
        self.home.start()
        self.wait_mapped()

    def moves(self, *speaks):
        """To another router: it has the mapping there and leaves none behind."""
        self.start(*speaks)
        self.wait_mapped()
        other = Space("other")
        self.addCleanup(other.remove)
        cable(self.home.space, "eth1", other, "lan")
        cable(self.away.space, "eth1", other, "wan")
        other.set_up("lan", "192.168.2.1/24")
        other.set_up("wan", "9.0.1.1/24")
        os.makedirs(f"{self.folder}/other/logs")
        router = Router(other, f"{self.folder}/other", speaks)
        router.start()
        self.addCleanup(router.stop)
        self.home.space.set_up("eth1", "192.168.2.7/24")
        self.home.space.ip("route", "replace", "default", "via", "192.168.2.1")
        wait_until("the mapping at the other router", lambda: self.mapping()["external"] == "9.0.1.1:51820", 10)
        wait_until("no mapping at the first router", lambda: self.router.mapped() == [], 2)
        self.assertEqual(router.mapped(), [51820])
        self.home.space.ip("link", "del", "dev", "eth1")
        wait_until("no mapping where there is no router", lambda: self.home.status()["port_mappings"] == [], 10)
        self.assertNotIn("9.0.1.1:51820", self.home.status()["node"]["endpoints"])

    def test_who_moves_to_another_router_has_the_mapping_there_and_leaves_none_behind(self):
        self.moves("pcp")

    def test_who_moves_to_another_router_leaves_nothing_at_one_that_knows_only_upnp(self):
        self.moves("upnp")

    def test_without_it_nothing_is_asked_for(self):
        self.home.configure({**self.home.settings, "port_mapping": False})
        self.start("pcp")
        self.assertEqual(self.home.status()["port_mappings"], [])
        self.assertNotIn(":5350", self.home.space.run("ss", "-lun"))
        self.assertEqual(self.router.mapped(), [])


if __name__ == "__main__":
    harness.main("__main__")
