"""Peers: processes that are asked, and answer, in lines of JSON. While one computes, the others wait for input.

Each measurement that needs a process of its own runs in one: so that peaks of memory do not mix, and so
that no library sets up another's threads. Standard library only, because torch_peer may run under an
interpreter that has no npgpt.
"""
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

try:
    import resource
except ImportError:                             # Windows
    resource = None

ROOT = Path(__file__).resolve().parent.parent


class PeerError(RuntimeError):
    """A peer could not do what it was asked to. The message is its own last word."""

    def __init__(self, module: str, message: str) -> None:
        super().__init__(f"{module}: {message}")
        self.module, self.message = module, message


class Peer:
    """The asking end. Leaving the context ends the process."""

    def __init__(self, module: str, python: str = sys.executable) -> None:
        self.module = module
        self.errors = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen([python, "-m", f"benchmarks.{module}"], cwd=ROOT, text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        except BaseException:
            self.errors.close()
            raise

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stdout.close()
        try:
            self.process.stdin.close()          # at the end of its input the peer leaves
        except BrokenPipeError:
            pass
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def ask(self, action: str, **arguments: object) -> dict:
        """Ask, and wait for the answer. Raises PeerError."""
        try:
            self.process.stdin.write(json.dumps({"action": action, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(self.module, self.last_word())
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(self.module, answer["error"])
        return answer

    def last_word(self) -> str:
        """The last line that a peer which ended wrote to standard error."""
        status = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {status}"


def serve(actions: dict[str, Callable[..., dict]]) -> None:
    """The answering end: until input ends, call the action that is asked for. What it raises becomes the answer.

    Whatever else is printed goes to standard error, so that only answers pass through the pipe.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("action")](**request)
        except Exception as error:
            words = str(error).strip().splitlines()
            answer = {"error": f"{type(error).__name__}: {words[0] if words else 'no message'}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def peak_memory() -> int | None:
    """The most memory that this process has held, in bytes; None where the system does not say.

    Linux's VmHWM is preferred to ru_maxrss, because the latter counts in what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def page_faults() -> int:
    """How often this process has had to wait for the system to give it a page of memory; 0 where it does not say."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0
