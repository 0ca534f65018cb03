"""A home's router: NAT by nftables, and Debian's miniupnpd, which speaks PCP, NAT-PMP and UPnP."""
import signal

from network import wait_until

# What miniupnpd maps is let in; else nothing that has not been begun from inside.
RULES = """
table inet filter {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "lan" accept
        jump miniupnpd
    }
    chain miniupnpd { }
    chain prerouting {
        type nat hook prerouting priority -100;
        jump prerouting_miniupnpd
    }
    chain prerouting_miniupnpd { }
    chain postrouting {
        type nat hook postrouting priority 100;
        jump postrouting_miniupnpd
        oifname "wan" masquerade
    }
    chain postrouting_miniupnpd { }
}
"""
# A router that does not know PCP, or takes no notice of it: of what comes to its port, only version 0 is heard.
ONLY_NAT_PMP = """
table inet deaf {
    chain input {
        type filter hook input priority 0;
        udp dport 5351 @th,64,8 != 0 drop
    }
}
"""


class Router:
    """In a namespace whose devices are called lan and wan. `speaks`: of "pcp" (with it "nat-pmp"), "nat-pmp", "upnp"."""

    def __init__(self, space, folder, speaks):
        self.space, self.folder, self.program = space, folder, None
        space.forward()
        space.run("nft", "-f", "-", input_text=RULES + ("" if "pcp" in speaks else ONLY_NAT_PMP))
        yes = {True: "yes", False: "no"}
        with open(f"{folder}/miniupnpd.conf", "w") as file:
            file.write("ext_ifname=wan\nlistening_ip=lan\nupnp_table_name=filter\nupnp_nat_table_name=filter\n"
                       "upnp_forward_chain=miniupnpd\nupnp_nat_chain=prerouting_miniupnpd\n"
                       "upnp_nat_postrouting_chain=postrouting_miniupnpd\nsecure_mode=yes\nsystem_uptime=no\n"
                       "uuid=7f3c2b1a-5d4e-4f60-8a9b-0c1d2e3f4a5b\nallow 1024-65535 192.168.0.0/16 1024-65535\n"
                       "deny 0-65535 0.0.0.0/0 0-65535\n"
                       f"enable_natpmp={yes['nat-pmp' in speaks or 'pcp' in speaks]}\nenable_upnp={yes['upnp' in speaks]}\n")

    def start(self):
        self.program = self.space.start(["miniupnpd", "-d", "-f", f"{self.folder}/miniupnpd.conf", "-P", f"/run/{self.space.name}.pid"],
                                        f"{self.folder}/logs/miniupnpd.log")
        wait_until("miniupnpd", lambda: ":5351 " in (said := self.space.run("ss", "-lun")) or ":1900 " in said, 5)

    def epoch_s(self, asked_from):
        """How long it has been up, as it tells by NAT-PMP."""
        said = asked_from.answer(b"\0\0", ("192.168.1.1", 5351), 1)
        return int.from_bytes(said[4:8], "big") if said else 0

    def restart(self):
        """As after a loss of power: nothing that was mapped is known any more."""
        self.program.kill()
        for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
            self.space.run("nft", "flush", "chain", "inet", "filter", chain)
        self.start()
        self.program.process.send_signal(signal.SIGUSR1)  # it announces its address, as routers do that have begun anew

    def stop(self):
        self.program.end()

    def mapped(self):
        """The ports that are passed on to somebody."""
        text = self.space.run("nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd")
        return [int(line.split(" dport ")[1].split()[0]) for line in text.splitlines() if " dport " in line]
