#!/usr/bin/python3
"""Evaluates packaging/polkit/meshd.rules as polkit does, in the JavaScript engine that polkit has: the meshd user may do what
meshd asks of systemd-resolved, and nothing else; of everybody else nothing is decided. Argument: the source folder."""
import json
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
RESOLVED = "org.freedesktop.resolve1."
# The action that systemd-resolved asks polkit about, of each of its methods.
ACTIONS = {"SetLinkDNS": "set-dns-servers", "SetLinkDNSEx": "set-dns-servers", "SetLinkDomains": "set-domains",
           "SetLinkDefaultRoute": "set-default-route", "SetLinkDNSOverTLS": "set-dns-over-tls", "SetLinkDNSSEC": "set-dnssec",
           "SetLinkLLMNR": "set-llmnr", "SetLinkMulticastDNS": "set-mdns", "RevertLink": "revert"}
OTHERS = [RESOLVED + "set-dnssec-negative-trust-anchors", RESOLVED + "register-service", RESOLVED, "set-dns-servers",
          "org.freedesktop.systemd1.manage-units", "org.freedesktop.resolve1x.set-domains", ""]
POLKIT = """
var rules = [], polkit = {
    Result: {NO: "no", YES: "yes", AUTH_SELF: "auth_self", AUTH_ADMIN: "auth_admin", NOT_HANDLED: null},
    addRule: function (rule) { rules.push(rule); }, log: function () {}
};
"""
ASK = """
questions.forEach(function (question) {
    var said = null;
    rules.forEach(function (rule) {
        if (said === null || said === undefined) { said = rule({id: question[0]}, {user: question[1], local: true, active: true}); }
    });
    print(JSON.stringify([question, said === undefined ? null : said]));
});
"""


def main(source):
    engine = shutil.which("duk")
    if not engine:
        print("SKIPPED: there is no duk here to evaluate polkit's rules: apt-get install duktape")
        return SKIPPED
    with open(f"{source}/meshd/resolved.cpp") as file:
        methods = set(re.findall(r'"((?:SetLink|RevertLink|Register|Reset|Flush)\w*)"', file.read()))
    if not methods or methods - set(ACTIONS):
        print("meshd/resolved.cpp calls what this test has no action of:", methods - set(ACTIONS) or "nothing")
        return 1
    allowed = {RESOLVED + ACTIONS[method] for method in methods}
    actions = sorted(allowed) + OTHERS
    questions = [[action, user] for action in actions for user in ("meshd", "root", "alice", "meshd2", "")]
    with open(f"{source}/packaging/polkit/meshd.rules") as file, tempfile.NamedTemporaryFile("w", suffix=".js") as program:
        program.write(POLKIT + file.read() + f"\nvar questions = {json.dumps(questions)};\n" + ASK)
        program.flush()
        said = subprocess.run([engine, program.name], stdout=subprocess.PIPE, text=True, check=True).stdout
    answers = {tuple(question): answer for question, answer in map(json.loads, said.splitlines())}
    wrong = [(question, answers.get(tuple(question))) for question in questions
             if answers.get(tuple(question), "none") != ("yes" if question[0] in allowed and question[1] == "meshd" else None)]
    for (action, user), answer in wrong:
        print(f'"{action}" of user "{user}": {answer}')
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
