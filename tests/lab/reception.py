"""The front desk: a user whom sipp plays, beside somebody's phone. It has a lamp for a colleague, and sends messages."""
import os
import subprocess

from network import Failed

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp")
PORTS = {"lamp": 5071, "message": 5072}
TEXT = "The parcel is at the front desk."


class Reception:
    def __init__(self, space, address, proxy, domain, password, folder, logs):
        """Speaks from `address`, which is the namespace's own, to `proxy` ("ADDRESS:PORT")."""
        self.space, self.address, self.proxy, self.domain, self.logs = space, address, proxy, domain, logs
        self.user, self.password, self.folder = f"reception@{domain}", password, folder

    def start(self, scenario, other):
        """sipp, at the scenario for `other` (a user's name)."""
        fields = f"{self.folder}/reception-{scenario}.csv"
        with open(fields, "w") as file:
            file.write(f"SEQUENTIAL\n{self.user};[authentication username=reception password={self.password}];"
                       f"{other}@{self.domain}\n")
        self.log = f"{self.logs}/reception-{scenario}.log"
        return self.space.start(
            ["sipp", self.proxy, "-sf", f"{SCENARIOS}/{scenario}.xml", "-inf", fields, "-i", self.address, "-p",
             str(PORTS[scenario]), "-auth_uri", self.domain, "-m", "1", "-nostdin", "-timeout", "60", "-timeout_error"],
            self.log, env={**os.environ, "TERM": "dumb"})

    def finish(self, program, limit_s=15):
        try:
            status = program.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            program.kill()
            raise Failed(f"sipp still waits: see {self.log}") from None
        if status != 0:
            raise Failed(f"sipp was told something else than it expects: see {self.log}")

    def leave_message(self, other):
        self.finish(self.start("message", other))


def lamp_states(sniffer, since_s):
    """What NOTIFYs told since then: (CLOCK_REALTIME, the state of the one dialog, or "none")."""
    told = [m for m in sniffer.sip if m.start == "NOTIFY" and not m.outgoing and m.at_s >= since_s and "dialog-info" in m.text]
    state = lambda text: text.split("<state>", 1)[1].split("<", 1)[0] if "<state>" in text else "none"
    return [(m.at_s, state(m.text)) for m in told]


def messages_heard(sniffer, since_s):
    """When the front desk's messages came; each as often as it came."""
    return [m.at_s for m in sniffer.sip if m.start == "MESSAGE" and not m.outgoing and m.at_s >= since_s and TEXT in m.text]
