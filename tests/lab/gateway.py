"""A gateway of the telephone network, played by sipp: it answers calls, and calls."""
import os

from sniffer import Sniffer

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp")
QUIET = {**os.environ, "TERM": "dumb"}
CALLS_FROM_PORT = 5062
NAPTR = 35


class Gateway:
    def __init__(self, space, device, address, logs, scenario="gateway"):
        self.space, self.address, self.logs = space, address, logs
        self.sniffer = Sniffer(space, device)
        self.program = self.sipp(scenario, 5060, "-deadcall_wait", "0")

    def sipp(self, scenario, port, *options):
        return self.space.start(["sipp", *options, "-sf", f"{SCENARIOS}/{scenario}.xml", "-i", self.address, "-p", str(port),
                                 "-nostdin"], f"{self.logs}/{scenario}.log", env=QUIET)

    def stop(self):
        self.program.kill()

    def called(self):
        """Request-URIs of the calls that have come, the last one last."""
        return [m.text.split(" ", 2)[1] for m in self.sniffer.sip if m.start == "INVITE" and not m.outgoing]

    def call(self, uri, proxy):
        """Begins a call, which ends by itself once it has been answered."""
        return self.sipp("gateway_calls", CALLS_FROM_PORT, proxy, "-m", "1", "-key", "uri", uri)

    def ask_enum(self, number, server, patience_s=5):
        """The SIP URI that the name server's NAPTR record gives a number; None where it does not answer."""
        labels = [*reversed(number.lstrip("+")), "e164", "arpa"]
        name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
        query = b"\x45\x4e\x01\0\0\x01\0\0\0\0\0\0" + name + NAPTR.to_bytes(2, "big") + b"\0\x01"
        answer = self.space.answer(query, (server, 53), patience_s)
        parts = (answer or b"").split(b"!")  # its regular expression: !^.*$!URI!
        return parts[2].decode() if len(parts) > 3 else None
