"""B2BUAs that stand behind the lab's Kamailio, in its namespace: two legs of sipp's, which leave the media alone, and Debian's
baresip with its module b2bua, which carries it."""
import os

from gateway import QUIET, SCENARIOS
from network import wait_until
from phone import MODULES

PORT = 5070


class B2bua:
    def __init__(self, space, command, log_path):
        self.space = space
        self.program = space.start(command, log_path, env=QUIET)
        wait_until("the B2BUA's port", lambda: f":{PORT} " in space.run("ss", "-Hlun"), 10)

    def kill(self):
        self.program.kill()


class SippB2bua(B2bua):
    def __init__(self, space, address, logs):
        super().__init__(space, ["sipp", "-sf", f"{SCENARIOS}/b2bua.xml", "-i", address, "-p", str(PORT), "-nostdin",
                                 "-deadcall_wait", "0"], f"{logs}/b2bua-sipp.log")


class BaresipB2bua(B2bua):
    def __init__(self, space, address, folder, logs):
        """Calls by the proxy at `address`. Its own addresses name no transport: it would say it twice in the URIs that it calls."""
        os.makedirs(folder)
        with open(f"{folder}/config", "w") as file:
            file.write(f"""poll_method epoll
sip_listen {address}:{PORT}
call_local_timeout 120
call_max_calls 8
audio_source aubridge,nil
audio_player aubridge,nil
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
module_path {MODULES}
module g711.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app b2bua.so
""")
        with open(f"{folder}/accounts", "w") as file:
            for side in ("inbound", "outbound"):
                file.write(f'<sip:{side}@{address}:{PORT}>;outbound="sip:{address}:5060;transport=udp";regint=0;'
                           f'answermode=manual;audio_codecs=PCMU;b2bua={side}\n')
        open(f"{folder}/contacts", "w").close()
        super().__init__(space, ["baresip", "-f", folder, "-s"], f"{logs}/b2bua-baresip.log")
