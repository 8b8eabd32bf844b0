"""readme.py README TYPED-DIR: types every line of README's `sh` blocks, as written, in their order, and says for each whether
it did what the page says. Blocks with a word behind `sh` are left out: the page says why they need more than this machine.

A line without `sudo` is typed by an ordinary user. A comment of a line counts where it can: `no answer` means that the command must fail, `on` what must be printed. Who has
to be answered is on a pseudo terminal: TYPED-DIR/COMMAND-WITH-DASHES holds the answers (typed.py). What has to be looked at
before a line is typed first does TYPED-DIR/COMMAND-WITH-DASHES.before, a shell script that says `ok` and `not ok` itself.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 300
USER = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", "HOME=/home/lab"]


def lines(page):
    """(command, comment) of each line to type; lines of blocks that are marked come with None."""
    for info, block in re.findall(r"^```sh *([a-z]*)\n(.*?)^```$", page, re.M | re.S):
        for line in block.splitlines():
            command, _, comment = re.sub(r"(^|\s+)# ", "\0", line, count=1).partition("\0")
            if command.strip():
                yield command.strip(), None if info else comment.strip()


def prepared(command, folder, ending=""):
    path = os.path.join(folder, re.sub(r"[^a-z0-9]+", "-", command) + ending)
    return path if os.path.exists(path) else None


def judge(command, comment, folder):
    if before := prepared(command, folder, ".before"):
        subprocess.run(["bash", before], stdin=subprocess.DEVNULL, timeout=LIMIT_S)
        os.remove(before)
    script = prepared(command, folder)
    words = ([] if "sudo " in command else USER) + ["bash", "-c", command]
    if script:
        words = [sys.executable, os.path.join(HERE, "typed.py"), script, *words]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"still running after {LIMIT_S} s", ""
    output = done.stdout + done.stderr
    if comment.endswith("no answer"):
        return (None if done.returncode else "an answer came"), output
    if done.returncode:
        return f"exit {done.returncode}", output
    if comment == "on" and output.strip() != "on":
        return f"printed {output.strip()!r}", output
    return None, output


def main():
    left_out = typed = 0
    for command, comment in lines(open(sys.argv[1]).read()):
        if comment is None:
            left_out += 1
            continue
        typed += 1
        wrong, output = judge(command, comment, sys.argv[2])
        print(f"{'not ok' if wrong else 'ok'} readme: {command}{': ' + wrong if wrong else ''}", flush=True)
        if wrong:
            print("".join(f"#   {line}\n" for line in output.splitlines()[-30:]), end="", flush=True)
    print(f"# {typed} lines typed, {left_out} need another machine or an account")
    sys.exit(0 if typed >= 15 else 1)


main()
