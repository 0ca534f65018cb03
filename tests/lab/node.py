"""A machine that runs meshd: the daemon, and meshctl to speak to it."""
import json
import os
import signal
import subprocess
import time

from network import Failed, wait_until

READY_LIMIT_S, COMMAND_LIMIT_S = 10, 30


class Node:
    def __init__(self, space, name, programs, folder, settings):
        """`programs` is the folder of the build; `settings` what the configuration file says."""
        self.space, self.name, self.programs, self.folder = space, name, programs, f"{folder}/{name}"
        os.makedirs(f"{self.folder}/state", exist_ok=True)
        os.makedirs("/run/meshd", exist_ok=True)
        # The path of a UNIX socket is short; /run is the sandbox's own.
        self.control, self.log_path, self.program = f"/run/meshd/{name}.sock", f"{folder}/logs/{name}.log", None
        os.makedirs(os.path.dirname(self.log_path), exist_ok=True)
        self.configure(settings)

    def configure(self, settings):
        self.settings = settings
        with open(f"{self.folder}/meshd.json", "w") as file:
            json.dump(settings, file, indent=2)

    def start(self):
        self.before = self.traces()
        if os.path.exists(self.control):
            os.remove(self.control)
        self.program = self.space.start([f"{self.programs}/meshd/meshd", "--config", f"{self.folder}/meshd.json",
                                         "--state", f"{self.folder}/state", "--control", self.control], self.log_path)
        wait_until(f"meshd in {self.name} to be ready", self.is_ready, READY_LIMIT_S)

    def is_ready(self):
        if not self.program.running():
            raise Failed(f"meshd in {self.name} ended with status {self.program.process.returncode} at its start")
        return os.path.exists(self.control) and self.ctl("status", "--json", check=False) is not None

    def stop(self):
        """A clean exit: status 0, and no device, route or rule left behind."""
        status = self.program.end(signal.SIGTERM)
        if status != 0:
            raise Failed(f"meshd in {self.name} ended with status {status} on SIGTERM")
        left = [line for line in self.traces() if line not in self.before]
        if left:
            raise Failed(f"meshd in {self.name} left behind: {'; '.join(left)}")

    def traces(self):
        """Devices, routes and rules, one a line, without what the state of the devices changes in them."""
        devices = [f"device {link['ifname']}" for link in json.loads(self.space.ip("-j", "link"))]
        text = "".join(self.space.ip(*words.split()) for words in
                       ("-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule"))
        return devices + [" ".join(line.replace("linkdown", "").split()) for line in text.splitlines()
                          if "fe80" not in line and "ff00" not in line]

    def crash(self):
        self.program.kill()

    def command(self, *words):
        return [f"{self.programs}/meshctl/meshctl", *words, "--control", self.control]

    def ctl(self, *words, input_text="", check=True):
        """What meshctl prints. With check=False, None where it fails."""
        done = subprocess.run(self.command(*words), input=input_text, capture_output=True, text=True,
                              timeout=COMMAND_LIMIT_S, preexec_fn=self.space.enter_in_child)
        if done.returncode and check:
            raise Failed(f"meshctl {' '.join(words)} in {self.name}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout if done.returncode == 0 else None

    def ask(self, *words):
        return json.loads(self.ctl(*words, "--json"))

    def status(self):
        return self.ask("status")

    def addresses(self):
        """Overlay addresses, IPv4 first."""
        return sorted(self.status()["node"]["addresses"], key=lambda a: ":" in a)

    def sessions(self):
        """Names of the peers that are in session now."""
        return {peer["name"] for peer in self.ask("peers")["peers"] if peer["state"] == "session"}

    def members(self):
        return sorted(json.dumps(member, sort_keys=True) for member in self.ask("members")["members"])

    def voice_mode(self):
        return self.status()["voice"]["mode"]

    def resident_mb(self):
        return self.program.resident_kb() / 1024

    def invite(self, name, *options):
        return self.ctl("invite", name, *options).strip()

    def add_user(self, address_of_record, password, *options):
        path = f"{self.folder}/password"
        with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(password + "\n")
        self.ctl("user", "add", address_of_record, "--password-file", path, *options)
        os.remove(path)

    def join(self, token):
        self.ctl("join", input_text=token + "\n")


def wait_full_mesh(nodes, limit_s, began):
    """Seconds since `began` (time.monotonic) until every node is in session with every other."""
    names = {node.name for node in nodes}

    def all_see_each_other():
        return all(node.sessions() >= names - {node.name} for node in nodes)

    wait_until("a full mesh", all_see_each_other, limit_s)
    return time.monotonic() - began
