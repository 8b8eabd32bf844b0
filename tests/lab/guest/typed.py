"""typed.py SCRIPT COMMAND...: runs a command on a pseudo terminal and types what a person would, then prints what the
terminal showed and ends with the command's exit code.

A line of SCRIPT each: `? TEXT` waits until the terminal shows it (behind what was waited for before), `> TEXT` types a
line, `* TEXT` types a secret: fails when the terminal shows it at any time. `! COMMAND` runs one by a shell meanwhile.
"""

import os
import pty
import select
import signal
import subprocess
import sys
import time

PATIENCE_S = 240


def main():
    script = [line.rstrip("\n") for line in open(sys.argv[1]) if line.strip()]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    shown, at, secrets = b"", 0, []

    def read(until):
        nonlocal shown
        if not select.select([terminal], [], [], max(0.0, until - time.monotonic()))[0]:
            return False
        try:
            block = os.read(terminal, 4096)
        except OSError:  # the other end is closed: it has ended
            block = b""
        shown += block
        return bool(block)

    def give_up(why):
        print(shown.decode("utf-8", "replace"))
        print(f"typed.py: {why}")
        os.kill(pid, signal.SIGKILL)
        sys.exit(99)

    for line in script:
        kind, text = line[0], line[2:]
        if kind == "?":
            until = time.monotonic() + PATIENCE_S
            while (found := shown.find(text.encode(), at)) < 0:
                if not read(until):
                    give_up(f"waited for {text!r}")
            at = found + len(text)
        elif kind == "!":
            subprocess.run(text, shell=True, check=True)
        else:
            if kind == "*":
                secrets.append(text.encode())
            os.write(terminal, text.encode() + b"\n")
    while read(time.monotonic() + PATIENCE_S):
        pass
    _, status = os.waitpid(pid, 0)
    print(shown.decode("utf-8", "replace").replace("\r\n", "\n"))
    if any(secret in shown for secret in secrets):
        print("typed.py: a secret was shown")
        sys.exit(98)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
