"""Two more kinds of people's phones, unmodified and told what to do by their consoles: linphonec (linphone-cli) and
twinkle-console. Neither touches a sound card: linphonec reads and writes files, twinkle has ALSA's null device."""
import os
import subprocess
import time

from network import wait_until
from sniffer import Sniffer

TWINKLE_SYSTEM = """dev_ringtone=alsa:null
dev_speaker=alsa:null
dev_mic=alsa:null
validate_audio_dev=no
play_ringtone=no
play_ringback=no
sip_port=5060
sip_udp_port=5060
rtp_port=8000
"""

TWINKLE_PROFILE = """user_name={person}
user_domain={domain}
auth_name={person}
auth_pass={password}
outbound_proxy={server}
all_requests_to_proxy=no
register_at_startup=yes
registration_time=600
sip_transport={transport}
codecs=g711u,g711a
"""

LINPHONE = """[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
default_proxy=0
use_ipv6=0
verify_server_certs=0
verify_server_cn=0
guess_hostname=1
inc_timeout=30

[auth_info_0]
username={person}
userid={person}
passwd={password}
realm={domain}
domain={domain}

[proxy_0]
reg_proxy=<sip:{server};transport={transport}>
reg_route=<sip:{server};transport={transport}>
reg_identity=sip:{person}@{domain}
reg_expires=600
reg_sendregister=1
publish=0

[sound]
echocancellation=0
"""


REST_S = 0.5  # since Twinkle last wrote what it does


class ConsolePhone:
    """A phone that is told by lines on its standard input."""

    def __init__(self, space, person, folder, logs, command):
        self.space, self.person, self.log_path = space, person, f"{logs}/phone-{person}.log"
        self.sniffer = Sniffer(space, "eth0")
        environment = {**os.environ, "HOME": folder, "LC_ALL": "C", "TERM": "dumb"}
        self.program = space.start(command, self.log_path, env=environment, stdin=subprocess.PIPE)

    def tell(self, line):
        self.program.process.stdin.write(line.encode() + b"\n")
        self.program.process.stdin.flush()

    def stop(self):
        self.program.kill()
        self.program.process.stdin.close()

    def output(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()


class Linphone(ConsolePhone):
    """Answers by itself."""

    def __init__(self, space, person, password, domain, server, folder, logs, transport="udp"):
        self.folder = f"{folder}/{person}"
        os.makedirs(f"{self.folder}/.local/share/linphone")
        ports = {name: 5060 if name == transport else 0 for name in ("udp", "tcp", "tls")}
        path = f"{self.folder}/linphonerc"
        with open(path, "w") as file:
            file.write(LINPHONE.format(person=person, password=password, domain=domain, server=server, transport=transport, **ports))
        super().__init__(space, person, self.folder, logs, ["linphonec", "-a", "-c", path, "-l", f"{logs}/linphone-{person}.log", "-d", "5"])
        self.tell("soundcard use files")

    def call(self, uri):
        self.tell(f"call {uri}")

    def hang_up(self):
        self.tell("terminate")


class Twinkle(ConsolePhone):
    """Answers by itself."""

    def __init__(self, space, person, password, domain, server, folder, logs, transport="udp"):
        self.folder = f"{folder}/{person}"
        os.makedirs(f"{self.folder}/.twinkle")
        with open(f"{self.folder}/.twinkle/twinkle.sys", "w") as file:
            file.write(TWINKLE_SYSTEM)
        with open(f"{self.folder}/.twinkle/{person}.cfg", "w") as file:
            file.write(TWINKLE_PROFILE.format(person=person, password=password, domain=domain, server=server, transport=transport))
        self.own_log = f"{self.folder}/.twinkle/twinkle.log"
        super().__init__(space, person, self.folder, logs, ["twinkle-console", f"{person}.cfg"])
        self.tell("auto_answer -a on")

    def call(self, uri):
        """It does nothing while its line is not free yet of the call before, and told so in the very moment in which one of its
        threads clears up after that, it may end by a segmentation fault (1.10.2)."""
        wait_until(f"{self.person}'s phone to rest", lambda: time.time() - os.path.getmtime(self.own_log) > REST_S, 10)
        began_s, wait_s = time.time(), 0.5

        def placed():
            self.tell(f"call {uri}")
            deadline = time.monotonic() + wait_s
            while time.monotonic() < deadline and not self.sniffer.invites(began_s):
                time.sleep(0.02)
            return self.sniffer.invites(began_s)

        wait_until(f"the INVITE of {self.person}'s phone", placed, 5)

    def hang_up(self):
        self.tell("bye")
