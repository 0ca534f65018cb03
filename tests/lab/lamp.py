"""A lamp: a phone that registers, watches a colleague (RFC 6665) and keeps what it was told. It subscribes anew where a
NOTIFY says that its subscription was deactivated, as stock phones do."""
import hashlib
import queue
import re
import socket
import threading
import uuid

from network import Failed

PATIENCE_S, AGAIN_S = 8, 0.5


def field(text, name):
    found = re.search(rf"^{name}[ \t]*:[ \t]*(.*?)\r?$", text, re.M | re.I)
    return found.group(1) if found else ""


def without_tag(address):
    return re.sub(r";tag=[^;]*", "", address)


class Lamp:
    def __init__(self, space, address, server, domain, user, password):
        """Speaks from `address`, which is the namespace's own, to `server` (ADDRESS, PORT), by UDP."""
        self.address, self.server, self.domain, self.user, self.password = address, server, domain, user, password
        self.told = []  # the whole text of each NOTIFY that it took
        self.subscriptions, self.watches, self.call_id, self.number = 0, None, "", 0
        self.answers, self.wishes = queue.Queue(), queue.Queue()
        self.lock = threading.Lock()
        self.socket = space.inside(self.open)
        for work in (self.listen, self.subscribe_anew):
            threading.Thread(target=work, daemon=True).start()

    def open(self):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((self.address, 5060))
        return opened

    def state(self):
        """What its last NOTIFY said of its subscription, without parameters' figures: "active", "terminated;reason=x"."""
        return re.sub(r";expires=\d+", "", field(self.told[-1], "Subscription-State")) if self.told else ""

    def register(self):
        answer = self.ask("REGISTER", f"sip:{self.domain}", f"<sip:{self.user}@{self.domain}>", uuid.uuid4().hex, "Expires: 600")
        if not answer.startswith("SIP/2.0 200"):
            raise Failed(f"{self.user}'s lamp asked to register, and was answered {answer.splitlines()[0]}")

    def subscribe(self, colleague):
        self.watches, self.call_id = colleague, uuid.uuid4().hex
        uri = f"sip:{colleague}@{self.domain}"
        answer = self.ask("SUBSCRIBE", uri, f"<{uri}>", self.call_id, "Event: dialog", "Accept: application/dialog-info+xml",
                          "Expires: 3600")
        if answer.split(" ")[1] not in ("200", "202"):
            raise Failed(f"{self.user}'s lamp asked to watch {colleague}, and was answered {answer.splitlines()[0]}")
        self.subscriptions += 1

    def subscribe_anew(self):
        while self.wishes.get() is not None:
            try:
                self.subscribe(self.watches)
            except Failed:
                pass  # the test sees that nothing more is told

    def ask(self, method, uri, to, call_id, *lines):
        """The final response, asked again with the password where that is wanted."""
        with self.lock:
            answer = self.exchange(method, uri, to, call_id, *lines)
            kind = {"401": "Authorization", "407": "Proxy-Authorization"}.get(answer.split(" ")[1])
            if kind:
                challenge = field(answer, "WWW-Authenticate") or field(answer, "Proxy-Authenticate")
                answer = self.exchange(method, uri, to, call_id, f"{kind}: {self.proof(method, uri, challenge)}", *lines)
            return answer

    def proof(self, method, uri, challenge):
        md5 = lambda *parts: hashlib.md5(":".join(parts).encode()).hexdigest()
        said = {name.lower(): value for name, value in re.findall(r'(\w+)="?([^",]*)"?', challenge)}
        secret, asked = md5(self.user, said["realm"], self.password), md5(method, uri)
        qop = ', qop=auth, nc=00000001, cnonce="x"' if "qop" in said else ""
        response = md5(secret, said["nonce"], "00000001", "x", "auth", asked) if qop else md5(secret, said["nonce"], asked)
        opaque = f', opaque="{said["opaque"]}"' if "opaque" in said else ""
        return (f'Digest username="{self.user}", realm="{said["realm"]}", nonce="{said["nonce"]}", uri="{uri}", '
                f'response="{response}", algorithm=MD5{qop}{opaque}')

    def exchange(self, method, uri, to, call_id, *lines):
        self.number += 1
        branch = f"z9hG4bK{uuid.uuid4().hex}"
        message = "\r\n".join((
            f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/UDP {self.address}:5060;branch={branch};rport", "Max-Forwards: 70",
            f"From: <sip:{self.user}@{self.domain}>;tag={call_id[:8]}", f"To: {to}", f"Call-ID: {call_id}",
            f"CSeq: {self.number} {method}", f"Contact: <sip:{self.user}@{self.address}:5060>", *lines, "Content-Length: 0", "", ""))
        for _ in range(int(PATIENCE_S / AGAIN_S)):
            self.socket.sendto(message.encode(), self.server)
            try:
                while True:
                    answer = self.answers.get(timeout=AGAIN_S)
                    if branch in answer and not answer.startswith("SIP/2.0 1"):
                        return answer
            except queue.Empty:
                pass
        raise Failed(f"nobody answered the {method} of {self.user}'s lamp")

    def listen(self):
        while True:
            try:
                data, sender = self.socket.recvfrom(65535)
            except OSError:
                return
            text = data.decode("utf-8", "replace")
            if text.startswith("SIP/2.0 "):
                self.answers.put(text)
                continue
            head = text.split("\r\n\r\n", 1)[0]
            status = self.notified(text) if text.startswith("NOTIFY ") else "200 OK"
            copied = [line for line in head.split("\r\n")[1:] if re.match(r"(Via|From|To|Call-ID|CSeq)[ \t]*:", line, re.I)]
            self.socket.sendto("\r\n".join((f"SIP/2.0 {status}", *copied, "Content-Length: 0", "", "")).encode(), sender)

    def notified(self, text):
        if field(text, "Call-ID") != self.call_id:
            return "481 Subscription does not exist"
        if text not in self.told:  # else it has come a second time
            self.told.append(text)
            if self.state() == "terminated;reason=deactivated":
                self.wishes.put(True)
        return "200 OK"

    def stop(self):
        self.wishes.put(None)
        self.socket.close()
