"""A person's phone: Debian's baresip 1.0.0 in a namespace, its microphone a file of speech, its ear a file too."""
import glob
import json
import os
import queue
import socket
import threading
import time

from network import Failed, Space, wait_until
from sniffer import Sniffer
from speech import read_wav

MODULES = "/usr/lib/baresip/modules"
CONTROL_PORT = 4444
# Given as soon as the phone may be told: what a person needs to reach for it is not part of any figure.
ANSWER_PATIENCE_S = 30


def link(name, target):
    """A short path to `target`, in /run, which is the sandbox's own. Another of that name, of an earlier phone, goes."""
    path = f"/run/{name}"
    if os.path.islink(path):
        os.remove(path)
    os.symlink(target, path)
    return path


class Phone:
    def __init__(self, space: Space, device, person, password, domain, server, voices, folder, logs, transport="udp", dns=None,
                 encryption=None):
        """`server` is where the phone sends everything: its outbound proxy, "ADDRESS:PORT". With None it finds that by DNS,
        of the server `dns`, "ADDRESS:PORT". `encryption` of its sound is "srtp-mand" (keys in the SDP) or "dtls_srtp"."""
        self.space, self.person, self.domain, self.voices = space, person, domain, voices
        self.log_path = f"{logs}/phone-{person}.log"
        self.folder, self.heard_folder = f"{folder}/{person}", f"{folder}/{person}/heard"
        os.makedirs(self.heard_folder)
        # baresip cuts the name of a device off after 127 characters, the sndfile module that of its folder.
        self.heard_link = link(f"heard-{person}", self.heard_folder)
        self.microphone_link = link(f"{person}.wav", voices.microphone(person))
        self.events, self.answers = [], queue.Queue()
        self.sniffer = Sniffer(space, device)
        self.write_configuration(password, server, transport, dns, encryption)
        self.program = None
        self.start()

    def write_configuration(self, password, server, transport, dns, encryption):
        module = f"module {encryption.removesuffix('-mand')}.so\n" if encryption else ""
        media = f";mediaenc={encryption}" if encryption else ""
        with open(f"{self.folder}/config", "w") as file:
            file.write(f"""poll_method epoll
sip_listen 0.0.0.0:5060
call_local_timeout 120
call_max_calls 4
audio_source aufile,{self.microphone_link}
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
rtp_tos 184
jitter_buffer_delay 1-5
module_path {MODULES}
module g711.so
module aufile.so
module sndfile.so
{module}snd_path {self.heard_link}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{CONTROL_PORT}
statmode_default off
""" + (f"dns_server {dns}\n" if dns else ""))
        outbound = f'outbound="sip:{server};transport={transport}";' if server else ""
        with open(f"{self.folder}/accounts", "w") as file:
            file.write(f'<sip:{self.person}@{self.domain};transport={transport}>;auth_user={self.person};'
                       f'auth_pass={password};{outbound}regint=600;'
                       f'answermode=manual;audio_codecs=PCMU,PCMA{media}\n')
        open(f"{self.folder}/contacts", "w").close()

    def start(self):
        self.program = self.space.start(["baresip", "-f", self.folder, "-s"], self.log_path)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.control = self.space.inside(lambda: socket.create_connection(("127.0.0.1", CONTROL_PORT), 2))
                break
            except OSError:
                if time.monotonic() > deadline or not self.program.running():
                    raise Failed(f"{self.person}'s phone did not start: see {self.log_path}") from None
                time.sleep(0.05)
        self.control.settimeout(None)
        threading.Thread(target=self.read_control, args=(self.control,), daemon=True).start()

    def stop(self):
        """At once: on SIGTERM it would wait for the answer to its unregistration."""
        self.program.kill()
        self.control.close()

    def read_control(self, control):
        pending = b""
        while data := self.receive(control):
            pending += data
            while b":" in pending:
                size, _, rest = pending.partition(b":")
                if len(rest) <= int(size):
                    break
                message, pending = json.loads(rest[:int(size)]), rest[int(size) + 1:]
                if message.get("event"):
                    self.events.append((time.time(), message))
                else:
                    self.answers.put(message)

    @staticmethod
    def receive(control):
        try:
            return control.recv(65536)
        except OSError:
            return b""

    def command(self, name, parameters=""):
        text = json.dumps({"command": name, "params": parameters, "token": "lab"}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))
        return self.answers.get(timeout=10)

    def seen(self, kind, since_s):
        return [event for at_s, event in list(self.events) if event.get("type") == kind and at_s >= since_s]

    def wait_for(self, kind, since_s, limit_s):
        wait_until(f"{kind} at {self.person}'s phone", lambda: self.seen(kind, since_s), limit_s)

    def wait_registered(self, limit_s=15, since_s=0.0):
        return wait_until(f"the registration of {self.person}'s phone", lambda: self.sniffer.registered(since_s), limit_s)

    def heard(self, since_s):
        """What came out of the loudspeaker in the last call since then (samples at speech.RATE_HZ)."""
        files = [path for path in glob.glob(f"{self.heard_folder}/*dec.wav") if os.path.getmtime(path) >= since_s]
        return read_wav(max(files, key=os.path.getmtime))[0] if files else read_wav(os.devnull)[0]

    def answer(self, since_s, limit_s=ANSWER_PATIENCE_S):
        self.wait_for("CALL_INCOMING", since_s, limit_s)
        self.command("accept")

    def hang_up(self):
        self.command("hangup")


class Call:
    """A call between two phones, looked at from both ends."""

    def __init__(self, caller, callee, dialled=None, handed_over_by=None):
        """`handed_over_by`: whom the caller talks to now, and who transfers him to the callee."""
        self.caller, self.callee, self.began_s = caller, callee, time.time()
        uri = dialled or f"sip:{callee.person}@{caller.domain}"
        if handed_over_by:
            handed_over_by.command("transfer", uri)
        else:
            caller.command("dial", uri)
        wait_until(f"the INVITE of {caller.person}'s phone", lambda: caller.sniffer.invites(self.began_s), 5, 0.005)
        self.call_id = caller.sniffer.invites(self.began_s)[0]

    def ring_back_ms(self, limit_s=35):
        ring = lambda: self.caller.sniffer.ring_back_ms(self.call_id)
        wait_until(f"ring-back at {self.caller.person}'s phone", lambda: ring() is not None, limit_s, 0.01)
        return ring()

    def answer(self):
        self.callee.answer(self.began_s)
        for phone in (self.caller, self.callee):
            try:
                phone.wait_for("CALL_ESTABLISHED", self.began_s, ANSWER_PATIENCE_S)
            except Failed as why:
                raise Failed(f"{why}\n{self.told()}") from None

    def told(self):
        """All that each phone's wire and its program have shown of the call, with seconds since it began."""
        lines = []
        for phone in (self.caller, self.callee):
            wire = [f"{m.at_s - self.began_s:.3f} {'sent' if m.outgoing else 'got'} {m.start} ({m.cseq_method})"
                    for m in list(phone.sniffer.sip) if m.at_s >= self.began_s and m.cseq_method != "REGISTER"]
            program = [f"{at_s - self.began_s:.3f} {event.get('type')} {event.get('param', '')}".rstrip()
                       for at_s, event in list(phone.events) if at_s >= self.began_s]
            state = "runs" if phone.program.running() else "has ended"
            lines.append(f"{phone.person}'s phone {state}; wire: {', '.join(wire)}; program: {', '.join(program)}")
        return "\n".join(lines)

    def closed(self):
        return any(phone.seen("CALL_CLOSED", self.began_s) for phone in (self.caller, self.callee))

    def speech(self, last_s=None):
        """Shares recognised of what the callee and the caller heard, of the last `last_s` seconds or of all."""
        shares = []
        for ear, mouth in ((self.callee, self.caller), (self.caller, self.callee)):
            heard = ear.heard(self.began_s)
            share, pieces = ear.voices.recognised(mouth.person, heard[-int(last_s * 8000):] if last_s else heard)
            shares.append(share if pieces >= 2 else 0.0)
        return shares

    def check_alive(self):
        if self.closed():
            raise Failed(f"the call of {self.caller.person} and {self.callee.person} was dropped")

    def longest_gap_ms(self, since_s, until_s):
        return max(phone.sniffer.longest_gap_ms(since_s, until_s) for phone in (self.caller, self.callee))

    def hang_up(self):
        """Both ends have to know within two seconds."""
        self.caller.hang_up()
        for phone in (self.caller, self.callee):
            wait_until(f"the end of the call at {phone.person}'s phone",
                       lambda phone=phone: phone.seen("CALL_CLOSED", self.began_s), 5)
