"""The tunnels that the bench compares, each between two machines that a cable or a wire joins.

A kind of tunnel is a function that brings it up over a Link and returns the address by which A reaches B, and a row in
KINDS. Every peer is set up as its manual says, authenticated and encrypted, with the fastest of the ciphers it trusts;
what is secret is in a file that only its owner reads, or in the environment.
"""
import os
import shutil
import subprocess
import time

from network import Failed, Space, cable, clear, run, wait_until
from node import Node, wait_full_mesh
from wireguard import StockPeer

UNDERLAY = ("10.99.0.1", "10.99.0.2")
OVERLAY = ("10.77.0.1", "10.77.0.2")
PORT = 51820
WIREGUARD_GO = "WIREGUARD_GO"  # the environment's name for a newer wireguard-go
os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class Machine(Space):
    """A namespace whose programs may be bound to one processor."""

    def __init__(self, name, cpu=None):
        self.cpu = cpu
        super().__init__(name)

    def enter_in_child(self):
        super().enter_in_child()
        if self.cpu is not None:
            os.sched_setaffinity(0, {self.cpu})


class Link:
    """Two machines, what joins them, and the programs that make the tunnel."""

    def __init__(self, kind, programs, folder, turn, pinned=False, data=None, join=None):
        """`data` is added to that of meshd's configuration; `join(a, b)` takes the place of a cable."""
        self.programs, self.folder, self.turn, self.data = programs, folder, turn, dict(data or {})
        self.daemons, self.others = [], []
        os.makedirs(f"{folder}/logs", exist_ok=True)
        os.chmod(folder, 0o700)
        self.spaces = self.a, self.b = [Machine(f"{side}{turn}", cpu if pinned else None)
                                        for cpu, side in enumerate("ab")]
        try:
            (join or (lambda a, b: cable(a, "eth0", b, "eth0")))(self.a, self.b)
            for space, address in zip(self.spaces, UNDERLAY):
                space.set_up("eth0", f"{address}/24")
            self.far = KINDS[kind].bring_up(self)
            wait_until(f"an answer through {kind}", lambda: self.a.ping_ms(self.far) is not None, 15)
        except BaseException:
            self.close()
            raise

    def start(self, side, *command, env=None, daemon=True):
        name = os.path.basename(command[0])
        program = self.spaces[side].start(list(command), f"{self.folder}/logs/{'ab'[side]}-{name}.log",
                                          env={**os.environ, **(env or {})})
        (self.daemons if daemon else self.others).append(program)

    def write(self, name, text):
        """A file of the tunnel's, by its whole path, that may hold a secret."""
        path = f"{self.folder}/{name}"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(text)
        return path

    def make(self, *command, input_text=None):
        """Output of a program that makes keys, in the folder, with its files for us alone."""
        done = subprocess.run(command, input=input_text, capture_output=True, text=True, timeout=60, cwd=self.folder,
                              umask=0o077)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def set_up(self, side, device, mtu_bytes):
        """Waits for the device that a daemon makes, and gives it its address."""
        space = self.spaces[side]
        wait_until(f"the device {device}", lambda: space.ip("link", "show", device, check=False) is not None, 10)
        space.ip("link", "set", device, "mtu", str(mtu_bytes))
        space.set_up(device, f"{OVERLAY[side]}/24")

    def wait_direct(self):
        """Until a large ping is one datagram from A, not a TCP segment and not two of them by way of a server."""
        pings = 20

        def datagrams():
            lines = self.a.run("cat", "/proc/net/snmp").splitlines()
            names, counts = (line.split() for line in lines if line.startswith("Udp:"))
            return int(counts[names.index("OutDatagrams")])

        def direct():
            before = datagrams()
            answered = self.a.run("ping", "-n", "-q", "-c", str(pings), "-i", "0.01", "-s", "1200", OVERLAY[1],
                                  check=False)
            return answered is not None and pings <= datagrams() - before < 1.5 * pings

        wait_until("datagrams to go straight to the other side", direct, 20, step_s=0.2)
        return OVERLAY[1]

    def close(self):
        clear(self.daemons + self.others, self.spaces)


def no_tunnel(link):
    return UNDERLAY[1]


def node(link, space, data):
    settings = {"listen_port": PORT, "mdns": False, "voice": {"enabled": False}}
    made = Node(space, space.name, link.programs, link.folder, {**settings, "data": data} if data else settings)
    checked = subprocess.run([f"{link.programs}/meshd/meshd", "--check", "--config", f"{made.folder}/meshd.json"],
                             capture_output=True, text=True, timeout=10)
    if checked.returncode:
        raise Failed(f"this meshd refuses its configuration: {checked.stderr.strip()}")
    made.start()
    link.daemons.append(made.program)
    return made


def meshd(link, **data):
    nodes = [node(link, space, {**data, **link.data}) for space in link.spaces]
    nodes[0].ctl("init", "bench", "--name", nodes[0].name)
    nodes[1].join(nodes[0].invite(nodes[1].name))
    wait_full_mesh(nodes, 10, time.monotonic())
    return nodes[1].addresses()[0]


def meshd_chacha(link):
    return meshd(link, aes=False)


def meshd_stock(link):
    """meshd at A, and at B a stock WireGuard that the mesh has admitted."""
    near = node(link, link.a, link.data)
    near.ctl("init", "bench", "--name", near.name)
    stock = StockPeer(link.b, f"wg{link.turn}", near.ctl("stock", "stock"), link.folder, f"{link.folder}/logs")
    link.daemons.append(stock.program)
    wait_until("the stock peer to reach meshd", lambda: link.b.ping_ms(near.addresses()[0]) is not None, 15)
    addresses = next(member["addresses"] for member in near.ask("members")["members"] if member["name"] == "stock")
    return next(address for address in addresses if ":" not in address)


def wireguard_go(link, program="wireguard-go"):
    keys = [run("wg", "genkey").strip() for _ in link.spaces]
    public = [run("wg", "pubkey", input_text=key).strip() for key in keys]
    for i, space in enumerate(link.spaces):
        # All devices of this sandbox have their sockets in one folder, so each has a name of its own.
        peer = StockPeer(space, f"wg{link.turn}{'ab'[i]}", f"""[Interface]
PrivateKey = {keys[i]}
ListenPort = {PORT}
Address = {OVERLAY[i]}/24
[Peer]
PublicKey = {public[1 - i]}
Endpoint = {UNDERLAY[1 - i]}:{PORT}
AllowedIPs = 10.77.0.0/24
""", link.folder, f"{link.folder}/logs", program)
        link.daemons.append(peer.program)
    return OVERLAY[1]


def wireguard_go_new(link):
    return wireguard_go(link, os.environ[WIREGUARD_GO])


def openvpn(link):
    """Point to point over UDP with AES-256-GCM; each side knows the other's certificate by its fingerprint."""
    fingerprints = []
    for side in "ab":
        link.make("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-keyout", f"{side}.key", "-out", f"{side}.crt", "-subj", f"/CN={side}", "-days", "2")
        told = link.make("openssl", "x509", "-in", f"{side}.crt", "-noout", "-fingerprint", "-sha256")
        fingerprints.append(told.strip().partition("=")[2])
    for i, role in enumerate(("tls-client", "tls-server\ndh none")):
        side = "ab"[i]
        link.start(i, "openvpn", "--config", link.write(f"{side}.conf", f"""dev ov{side}
dev-type tun
topology p2p
proto udp
{role}
{f"remote {UNDERLAY[1]}" if i == 0 else ""}
ifconfig {OVERLAY[i]} {OVERLAY[1 - i]}
cert {link.folder}/{side}.crt
key {link.folder}/{side}.key
peer-fingerprint {fingerprints[1 - i]}
data-ciphers AES-256-GCM
disable-dco
sndbuf 4194304
rcvbuf 4194304
verb 1
"""))
    return OVERLAY[1]


def nebula(link):
    """AES-256-GCM; B is the lighthouse."""
    link.make("nebula-cert", "ca", "-name", "bench")
    for i, side in enumerate("ab"):
        link.make("nebula-cert", "sign", "-name", side, "-ip", f"{OVERLAY[i]}/24")
        anyone = '[{port: any, proto: any, host: any}]'
        link.start(i, "nebula", "-config", link.write(f"{side}.yml", f"""
pki: {{ca: {link.folder}/ca.crt, cert: {link.folder}/{side}.crt, key: {link.folder}/{side}.key}}
static_host_map: {{"{OVERLAY[1]}": ["{UNDERLAY[1]}:4242"]}}
lighthouse: {{am_lighthouse: {str(i == 1).lower()}, hosts: [{f'"{OVERLAY[1]}"' if i == 0 else ""}]}}
listen: {{host: 0.0.0.0, port: 4242}}
cipher: aes
tun: {{dev: neb{side}, mtu: 1400}}
firewall: {{outbound: {anyone}, inbound: {anyone}}}
logging: {{level: error}}
"""))
    return OVERLAY[1]


def fastd(link):
    """salsa2012+umac, which its manual recommends, and the fastest of its methods that authenticate."""
    secret = [link.make("fastd", "--generate-key", "--machine-readable").strip() for _ in "ab"]
    public = []
    for i, side in enumerate("ab"):
        path = link.write(f"{side}.key", f'secret "{secret[i]}";\n')
        public.append(link.make("fastd", "--show-key", "--machine-readable", "-c", path).strip())
    # A calls B, once B is there: two handshakes that cross, or one that is lost, cost it 20 s.
    for i, side in ((1, "b"), (0, "a")):
        remote = f"remote {UNDERLAY[1]}:10000;" if i == 0 else ""
        link.start(i, "fastd", "-c", link.write(f"{side}.conf", f"""mode tun;
interface "fd0";
mtu 1400;
offload l2tp no;
method "salsa2012+umac";
bind any:10000;
include "{link.folder}/{side}.key";
peer "other" {{ key "{public[1 - i]}"; {remote} }}
"""))
        link.set_up(i, "fd0", 1400)
    return OVERLAY[1]


def tinc(link):
    for i, side in enumerate("ab"):
        to = "ConnectTo = b\n" if i == 0 else ""
        link.write(f"{side}/tinc.conf", f"Name = {side}\nInterface = tinc0\nAddressFamily = ipv4\n{to}")
        link.write(f"{side}/hosts/{side}", f"Address = {UNDERLAY[i]}\nSubnet = {OVERLAY[i]}/32\n")
        link.make("tincd", "-c", f"{link.folder}/{side}", "-K2048", input_text="\n\n")
    for side, other in ("ab", "ba"):
        shutil.copy(f"{link.folder}/{other}/hosts/{other}", f"{link.folder}/{side}/hosts/{other}")
    for i, side in enumerate("ab"):
        link.start(i, "tincd", "-c", f"{link.folder}/{side}", "-D", f"--pidfile={link.folder}/{side}.pid")
        link.set_up(i, "tinc0", 1400)
    return link.wait_direct()  # it carries data over TCP until it has found the path's MTU


def n2n(link):
    """Its only cipher in this version, Twofish. The supernode, at A, is not among the daemons that are measured."""
    key = os.urandom(16).hex()
    link.start(0, "supernode", "-l", "7654", daemon=False)
    for i, side in enumerate("ab"):
        link.start(i, "edge", "-d", f"n2n{side}", "-a", OVERLAY[i], "-c", "bench", "-l", f"{UNDERLAY[0]}:7654",
                   env={"N2N_KEY": key})
    return link.wait_direct()


class Kind:
    def __init__(self, bring_up, needs=None):
        """`needs` names programs, and the Debian package of each."""
        self.bring_up, self.needs = bring_up, needs or {}

    def missing(self):
        """Why this kind cannot be measured here, or None."""
        if self.bring_up is wireguard_go_new and not shutil.which(os.environ.get(WIREGUARD_GO, "")):
            return f"the environment variable {WIREGUARD_GO} names no newer build of it"
        for program, package in self.needs.items():
            if not shutil.which(program):
                return f"there is no {program} here: Debian's package {package} has it"
        return None


STOCK = {"wireguard-go": "wireguard-go", "wg": "wireguard-tools"}
KINDS = {
    "no-tunnel": Kind(no_tunnel),
    "meshd": Kind(meshd),
    "meshd-chacha": Kind(meshd_chacha),
    "meshd-stock": Kind(meshd_stock, STOCK),
    "wireguard-go": Kind(wireguard_go, STOCK),
    "wireguard-go-new": Kind(wireguard_go_new, {"wg": "wireguard-tools"}),
    "openvpn": Kind(openvpn, {"openvpn": "openvpn", "openssl": "openssl"}),
    "nebula": Kind(nebula, {"nebula": "nebula", "nebula-cert": "nebula"}),
    "fastd": Kind(fastd, {"fastd": "fastd"}),
    "tinc": Kind(tinc, {"tincd": "tinc"}),
    "n2n": Kind(n2n, {"edge": "n2n", "supernode": "n2n"}),
}
