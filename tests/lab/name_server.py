"""BIND as the name server of the lab, and Kamailio's enum module as one who asks it too."""
import json
import os
import re

from centre import MODULES
from network import wait_until

ORACLE = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
dns_use_search_list=no
listen=udp:{address}:5060
mpath="{modules}"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "enum.so"

request_route {{
    if (enum_query("e164.arpa.", "+sip")) {{
        append_to_reply("X-Answer: $ru\\r\\n");
    }} else {{
        append_to_reply("X-Answer: none\\r\\n");
    }}
    sl_send_reply("200", "OK");
}}
"""


BEHIND = "127.0.0.1"


class NameServer:
    def __init__(self, space, address, zones, odd, folder, logs):
        """`zones`: the text of each by its name; `odd`: see odd_names.py, which stands before BIND."""
        os.makedirs(folder, exist_ok=True)
        self.space, self.address, self.folder, self.logs, self.programs = space, address, folder, logs, []
        with open(f"{folder}/odd.json", "w") as file:
            json.dump(odd, file)
        parts = ""
        for name, text in zones.items():
            with open(f"{folder}/{name}.zone", "w") as file:
                file.write(text)
            parts += f'zone "{name}" {{ type primary; file "{folder}/{name}.zone"; check-names ignore; }};\n'
        with open(f"{folder}/named.conf", "w") as file:
            file.write(f'options {{ directory "{folder}"; listen-on {{ {BEHIND}; }}; listen-on-v6 {{ none; }}; recursion no;\n'
                       f'pid-file none; session-keyfile "{folder}/session.key"; dnssec-validation no; }};\n'
                       f'controls {{ }};\n{parts}')

    def start(self):
        odd_names = os.path.join(os.path.dirname(os.path.abspath(__file__)), "odd_names.py")
        self.programs = [
            self.space.start(["named", "-g", "-n", "1", "-c", f"{self.folder}/named.conf"], f"{self.logs}/named.log"),
            self.space.start(["/usr/bin/python3", "-B", odd_names, self.address, BEHIND, f"{self.folder}/odd.json"],
                             f"{self.logs}/odd_names.log")]
        wait_until("BIND's answer", self.answers, 15, 0.05)

    def answers(self):
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04e164\x04arpa\x00\x00\x06\x00\x01"
        return (self.space.answer(query, (self.address, 53)) or b"")[:4] == b"\x12\x34\x85\x00"

    def stop(self):
        for program in self.programs:
            program.kill()


class Oracle:
    """Kamailio, asked for a number by an OPTIONS to it. It reads /etc/resolv.conf."""

    def __init__(self, space, address, folder, logs):
        os.makedirs(folder, exist_ok=True)
        self.space, self.address, self.folder, self.logs = space, address, folder, logs
        with open(f"{folder}/kamailio.cfg", "w") as file:
            file.write(ORACLE.format(address=address, modules=MODULES))

    def start(self):
        self.program = self.space.start(["kamailio", "-f", f"{self.folder}/kamailio.cfg", "-DD", "-E", "-Y", self.folder,
                                         "-m", "32", "-M", "8"], f"{self.logs}/oracle.log")
        wait_until("the oracle's answer", lambda: self.ask("+390461000099", 0.2) is not None, 15, 0.05)

    def ask(self, number, patience_s=8):
        """A URI, "none", or None where it does not answer."""
        message = (f"OPTIONS sip:{number}@{self.address} SIP/2.0\r\nVia: SIP/2.0/UDP {self.address}:5999;branch=z9hG4bK{number[1:]}\r\n"
                   f"From: <sip:lab@{self.address}>;tag=1\r\nTo: <sip:{self.address}>\r\nCall-ID: lab{number}\r\n"
                   "CSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n")
        answer = self.space.answer(message.encode(), (self.address, 5060), patience_s, (self.address, 5999))
        found = answer and re.search(rb"X-Answer: ([^\r\n]*)\r\n", answer)
        return found and found.group(1).decode(errors="replace")

    def stop(self):
        self.program.end(patience_s=10)
