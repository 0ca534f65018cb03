#!/usr/bin/python3
"""Members found by what DNS says of a domain: SRV records in BIND, one reachable place among dead ones."""
import os
import time

import harness
import sandbox
from name_server import NameServer
from node import wait_full_mesh

MS_BIND = 4096
DNS = "10.0.0.3"
ZONE = f"""$TTL 60
@ IN SOA ns hostmaster 1 60 60 60 60
@ IN NS ns
ns IN A {DNS}
"""
SERVICES = ZONE + """a IN A 10.0.0.1
gone IN A 10.0.0.77
_meshd._udp IN SRV 10 0 51820 gone
_meshd._udp IN SRV 20 5 51820 nowhere
_meshd._udp IN SRV 30 5 51999 a
"""


class BootstrapTest(harness.NodesTest):
    def setUp(self):
        super().setUp()
        self.a, self.b, dns = self.machines("a", "b", "dns").values()
        # NameServer.answers() asks for this zone.
        self.dns = NameServer(dns.space, DNS, {"e164.arpa": ZONE, "acme.example": SERVICES, "plain.example": ZONE + "@ IN A 10.0.0.1\n"},
                              {}, f"{self.folder}/named", f"{self.folder}/logs")
        self.dns.start()
        self.addCleanup(self.dns.stop)
        with open(f"{self.folder}/resolv.conf", "w") as file:
            file.write(f"nameserver {DNS}\n")
        path = os.path.realpath("/etc/resolv.conf")
        if not os.path.exists(path):  # a link to a resolver's, which this sandbox's own /run has not got
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "w").close()
        sandbox.mount(f"{self.folder}/resolv.conf", path, "none", MS_BIND)

    def found_by(self, domain, ports):
        """Both have moved to other ports, so what each remembers of the other leads nowhere: b finds a by DNS alone."""
        for node, port in zip((self.a, self.b), ports):
            node.stop()
            node.configure({**node.settings, "listen_port": port})
        self.b.configure({**self.b.settings, "bootstrap": [domain]})
        for node in (self.a, self.b):
            node.start()
        wait_full_mesh((self.a, self.b), 15, time.monotonic())

    def test_a_domain_leads_to_the_mesh_by_its_srv_records_or_its_address(self):
        self.mesh({"a": self.a, "b": self.b})
        self.found_by("acme.example", (51999, 51998))
        self.found_by("plain.example", (51820, 51997))


if __name__ == "__main__":
    harness.main("__main__")
