"""An Internet of one switch, and the boxes that stand between it and homes: NAT of several kinds by nftables, firewalls."""
from network import Space, Wire, bridge, cable, plug

PORT = 51820  # meshd's, unless it has another

# What is not begun from inside is let in nowhere, the box itself included: what a member sends before its peer has sent is
# dropped, and leaves no trace that would cost the peer its port.
RULES = """
table ip nat {{
    chain prerouting {{
        type nat hook prerouting priority -100;
        {forwards}
    }}
    chain postrouting {{
        type nat hook postrouting priority 100;
        {mappings}
        oifname "wan" masquerade {ports}
    }}
}}
table inet filter {{
    chain input {{
        type filter hook input priority 0;
        meta l4proto udp ct state new drop
    }}
    chain forward {{
        type filter hook forward priority 0; policy drop;
        {blocks}
        ct state established,related accept
        iifname "lan" accept
        ct status dnat accept
    }}
}}
"""


class Network:
    """A switch, and who gives out the addresses of it: `prefix` is what stands before the last number."""

    def __init__(self, name, prefix, prefix_v6=None):
        self.space, self.prefix, self.prefix_v6, self.members = Space(name), prefix, prefix_v6, 1
        self.gateways = []
        bridge(self.space, "lan")

    def join(self, space, device="eth0", wire=None):
        """Plugs it in; its address, IPv4 if there is any here. `wire`: wire.cpp and where it logs, in place of a cable."""
        self.members += 1
        plug_name = f"{space.name}-{device}"[:15]
        join = Wire(wire[0], space, device, self.space, plug_name, wire[1], seed=self.members) if wire else None
        if not wire:
            cable(space, device, self.space, plug_name)
        plug(self.space, "lan", plug_name)
        addresses = [f"{prefix}{self.members}" for prefix in (self.prefix, self.prefix_v6) if prefix]
        space.set_up(device, *(f"{address}/{64 if ':' in address else 24}" for address in addresses))
        space.default_route(*self.gateways)
        space.wire = join
        return addresses[0]


class Internet(Network):
    """Addresses that are nobody's private ones and no example's."""

    def __init__(self):
        super().__init__("internet", "9.0.0.", "2001:db8::")


class Box(Network):
    """What a home has: a LAN behind one address of `outer`.

    `ports`: how masquerading chooses them. Linux keeps the port and filters by address and port: a port restricted cone,
    with "random,fully-random" a symmetric NAT. `blocks`: rules that go before what lets packets out."""

    def __init__(self, name, outer, prefix, ports="", blocks=""):
        super().__init__(name, prefix)
        self.ports, self.blocks, self.forwards, self.mappings = ports, blocks, [], []
        self.outside = outer.join(self.space, "wan")
        self.space.ip("addr", "add", f"{prefix}1/24", "dev", "lan")
        self.gateways = [f"{prefix}1"]
        self.space.forward()
        self.apply()

    def apply(self):
        self.space.run("nft", "-f", "-", input_text="flush ruleset\n" + RULES.format(
            forwards="\n".join(self.forwards), mappings="\n".join(self.mappings), ports=self.ports, blocks=self.blocks))

    def full_cone(self, inside):
        """Whoever sends to the port outside is let in to that member."""
        self.forwards.append(f'iifname "wan" udp dport {PORT} dnat to {inside}')
        self.apply()

    def keep_apart(self, *insides, hairpins):
        """Each of them has a port of its own outside, the same for all, as carriers have it; whether one inside can reach
        another by that."""
        for number, inside in enumerate(insides, 40001):
            where = "" if hairpins else 'iifname "wan" '
            self.forwards.append(f"{where}ip daddr {self.outside} udp dport {number} dnat to {inside}:{PORT}")
            self.mappings.append(f"ip saddr {inside} udp sport {PORT} snat to {self.outside}:{number}")
        self.apply()


class Firewall(Network):
    """A LAN that has IPv6 and nothing else, from which is let in what has been begun there."""

    def __init__(self, name, internet, prefix_v6):
        super().__init__(name, None, prefix_v6)
        internet.join(self.space, "wan")
        self.outside = f"{internet.prefix_v6}{internet.members}"
        self.space.ip("-4", "addr", "flush", "dev", "wan")
        self.space.ip("addr", "add", f"{prefix_v6}1/64", "dev", "lan", "nodad")
        self.gateways = [f"{prefix_v6}1"]
        self.space.forward()
        self.space.run("nft", "-f", "-", input_text=RULES.format(forwards="", mappings="", ports="", blocks=""))
