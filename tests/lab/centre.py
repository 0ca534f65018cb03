"""The central SIP server of the lab: Debian's Kamailio, a registrar and proxy that asks for passwords."""
import os

from network import wait_until

MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules"

CONFIGURATION = """#!KAMAILIO
debug=2
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
alias="{domain}"
{listen}
mpath="{modules}"
loadmodule "kex.so"
loadmodule "corex.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "htable.so"
loadmodule "auth.so"
loadmodule "ctl.so"
{presence}
modparam("usrloc", "db_mode", 0)
modparam("htable", "htable", "password=>size={password_slots};")
modparam("auth", "nonce_expire", 300)
modparam("ctl", "binrpc", "unix:{socket}")
{timers}
event_route[htable:mod-init] {{
{passwords}
}}

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
{with_b2bua}        if (loose_route()) {{ t_relay(); exit; }}
        {lamps}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    if (is_method("ACK")) exit;
    if (is_method("OPTIONS") && !($rU != $null)) {{ sl_send_reply("200", "OK"); exit; }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        if ($au == $null || !pv_auth_check("$td", "$sht(password=>$au)", "0", "1")) {{ auth_challenge("$td", "0"); exit; }}
        consume_credentials();
        save("location");
        exit;
    }}
{by_b2bua}    if (is_method("INVITE|MESSAGE|SUBSCRIBE")) {{
        if ($au == $null || !pv_auth_check("$fd", "$sht(password=>$au)", "0", "1")) {{ auth_challenge("$fd", "0"); exit; }}
        consume_credentials();
    }}
    {lamps}
{to_b2bua}    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""

# Subscriptions to everybody's calls, in memory alone. Nobody publishes any: lamps are told that there is none.
PRESENCE = """
loadmodule "presence.so"
loadmodule "presence_dialoginfo.so"
modparam("presence", "subs_db_mode", 0)
modparam("presence", "publ_cache", 2)
"""
LAMPS = 'if (is_method("SUBSCRIBE")) { if (t_newtran()) { handle_subscribe(); t_release(); } exit; }'

# With a B2BUA beside it: new calls go there, what it calls itself to whom it is for, and all that follows where its Route or
# Request-URI says. It is given up after two seconds of silence.
TO_B2BUA = {
    "timers": 'modparam("tm", "fr_timer", 2000)\n',
    "with_b2bua": "        loose_route();\n        t_relay();\n        exit;\n",
    "by_b2bua": """    if (is_method("INVITE") && $sp == {b2bua_port}) {{
        remove_hf("Route");
        if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
        t_relay();
        exit;
    }}
""",
    "to_b2bua": """    if (is_method("INVITE")) {{
        $du = "sip:{b2bua}";
        t_relay();
        exit;
    }}
"""}


class Kamailio:
    def __init__(self, space, addresses, domain, passwords, folder, logs, memory_mb=64, port=5060, b2bua_port=None, lamps=False):
        """`passwords` of users by name. Starts without any registration, always. Behind `b2bua_port` of the same address a
        B2BUA has every call, if that is given. `lamps`: it serves subscriptions to the calls of users (Debian's
        kamailio-presence-modules), and knows none of them at its start."""
        os.makedirs(folder, exist_ok=True)
        self.space, self.folder, self.log_path = space, folder, f"{logs}/kamailio.log"
        self.address, self.port = addresses[0], port
        # The path of a UNIX socket is short; /run is the sandbox's own.
        self.socket, self.memory_mb, self.program = f"/run/kamailio-{space.name}.sock", memory_mb, None
        listen = "\n".join(f"listen={kind}:{a}:{port}" for a in addresses for kind in ("udp", "tcp"))
        calls = {name: text.format(b2bua=f"{addresses[0]}:{b2bua_port}", b2bua_port=b2bua_port) if b2bua_port else ""
                 for name, text in TO_B2BUA.items()}
        slots = max(4, (len(passwords) // 4).bit_length())
        with open(f"{folder}/kamailio.cfg", "w") as file:
            file.write(CONFIGURATION.format(
                **calls, domain=domain, listen=listen, modules=MODULES, presence=PRESENCE if lamps else "",
                lamps=LAMPS if lamps else "", socket=self.socket, password_slots=slots,
                passwords="\n".join(f'    $sht(password=>{name}) = "{word}";' for name, word in passwords.items())))

    def start(self):
        self.program = self.space.start(
            ["kamailio", "-f", f"{self.folder}/kamailio.cfg", "-DD", "-E", "-Y", self.folder, "-m",
             str(self.memory_mb), "-M", "16"], self.log_path)
        wait_until("Kamailio's answer", self.answers, 15, 0.05)

    def answers(self):
        """Whether it answers an OPTIONS of somebody beside it."""
        message = (f"OPTIONS sip:{self.address} SIP/2.0\r\nVia: SIP/2.0/UDP {self.address}:5999;branch=z9hG4bKlab\r\n"
                   f"From: <sip:lab@{self.address}>;tag=1\r\nTo: <sip:{self.address}>\r\nCall-ID: lab\r\n"
                   "CSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n")
        answer = self.space.answer(message.encode(), (self.address, self.port), source=(self.address, 5999))
        return (answer or b"").startswith(b"SIP/2.0 200")

    def kill(self):
        """As a machine that loses its power: its children die with it, by their ids."""
        children = children_of(self.program.pid)
        self.program.kill()
        for pid in children:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        if os.path.exists(self.socket):
            os.remove(self.socket)

    def processes(self):
        return [self.program.pid, *children_of(self.program.pid)]

    def registered(self):
        """Names with a registration now."""
        text = self.space.run("kamcmd", "-s", f"unix:{self.socket}", "ul.dump", check=False) or ""
        return {line.split("AoR:")[1].strip().split("@")[0] for line in text.splitlines() if "AoR:" in line}


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]
