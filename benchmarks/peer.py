"""Peers: processes that make training steps when asked, and answer in lines of JSON. While one computes, the others wait.

Each measurement of training has a process of its own, so that peaks of memory do not mix, and no library sets up
another's threads. Standard library only, because torch_peer may run under an interpreter that has no npgpt.
"""
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

try:
    import resource
except ImportError:                             # Windows
    resource = None

ROOT = Path(__file__).resolve().parent.parent


class PeerError(RuntimeError):
    """A peer could not do what it was asked to. The message is from the peer."""


class Peer:
    """The asking end. Leaving the context ends the process."""

    def __init__(self, module: str, python: str = sys.executable) -> None:
        self.module = module
        self.process = subprocess.Popen([python, "-m", f"benchmarks.{module}"], cwd=ROOT, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()          # at the end of its input the peer ends
        self.process.wait()
        self.process.stdout.close()

    def ask(self, action: str, **arguments: object) -> dict:
        """Ask, and wait for the answer. Raises PeerError."""
        try:
            self.process.stdin.write(json.dumps({"action": action, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": f"the process ended with status {self.process.wait()}"}
        if "error" in answer:
            raise PeerError(f"{self.module}: {answer['error']}")
        return answer

    def burst(self, steps: int) -> list[dict]:
        """Make one step that is not counted, then `steps` that are  ->  the figures of each of these"""
        return self.ask("burst", steps=1 + steps)["steps"][1:]


def serve(actions: dict[str, Callable[..., dict]]) -> None:
    """The answering end: until input ends, call the action that is asked for, and answer with what it returns or raises.
    Other output goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("action")](**request)
        except Exception as error:
            first_line = str(error).strip().partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {first_line or 'no message'}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def memory() -> dict:
    """The action `memory` of every peer: the peak memory of its process in bytes, or None if the system does not say.
    Linux's VmHWM is preferred, because ru_maxrss includes the memory of the parent process when it started this one.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    if found:
        return {"peak": 1024 * int(found[1])}
    peak = resource and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak": peak if peak is None or sys.platform == "darwin" else peak * 1024}


def page_faults() -> int:
    """How often this process has waited for a page of memory; 0 if the system does not say."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0
