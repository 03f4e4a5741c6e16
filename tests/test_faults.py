"""Real faults: killed processes, signals at any moment, full disks, limits on files, read-only folders.

Each is tried a few times, and as often as one could wish with NPGPT_TESTS=thorough.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from npgpt.__main__ import main
from npgpt.commands import materials
from npgpt.interop.huggingface import WEIGHTS, load_model
from npgpt.runs.checkpoint import MOMENTS, RECORD, newest_checkpoint
from npgpt.runs.metrics import METRICS_FILE

if os.name != "posix":
    pytest.skip("needs POSIX signals and limits", allow_module_level=True)

THOROUGH, DEFAULT = 250, 25                                    # examples, as in conftest.py
EXAMPLES = settings().max_examples
KILLS = 50 if EXAMPLES >= THOROUGH else 3 if EXAMPLES >= DEFAULT else 1
COMMAND = [sys.executable, "-m", "npgpt", "train"]
RUN = ["--data", "text.txt", "--n-layer", "1", "--n-head", "1", "--n-embd", "4", "--n-positions", "4", "--batch-size", "2",
       "--dropout", "0.1", "--threads", "1", "--checkpoint-every", "7"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a text."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 10)
    return folder


def end_state(run):
    """The result of a finished run, without the times."""
    newest = max((run / "checkpoints").iterdir())
    record = json.loads((newest / RECORD).read_text())
    history = [json.loads(line) for line in (run / METRICS_FILE).read_text().splitlines()]
    return ([(run / WEIGHTS).read_bytes(), (newest / WEIGHTS).read_bytes(), (newest / MOMENTS).read_bytes()],
            [record[name] for name in ("step", "updates", "generators", "best")],
            [{key: line[key] for key in line if key not in ("seconds", "tokens_per_second")} for line in history])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@settings(max_examples=1)
@given(seed=st.integers(1, 2**32))
def test_a_run_that_is_stopped_at_any_moment_and_resumed_ends_as_an_uninterrupted_one(place, number, seed):
    """Half of the moments fall into the start of a process, most others into the writing of a checkpoint."""
    rng = np.random.default_rng(seed)
    arguments = [*RUN, "--steps", str(70 * KILLS)]
    whole, run = place / f"whole-{KILLS}", place / f"stopped-{number}-{seed}"
    if not whole.exists():
        subprocess.run([*COMMAND, *arguments, "--out", whole], cwd=place, check=True, capture_output=True)
    stops = 0
    while True:
        resumed = ["--resume", run] if any(run.glob("checkpoints/step-*")) else [*arguments, "--out", run]
        process = subprocess.Popen([*COMMAND, *resumed], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 0.8) if stops < KILLS else None)
        process.send_signal(number)
        _, err = process.communicate()
        if process.returncode == 0:
            break
        assert stops < KILLS, err                              # or it would not go on, and not for a signal
        stops += 1
        require_well_said(err, process.returncode, number)
    assert end_state(run) == end_state(whole)
    assert not [path for path in run.rglob("*") if path.name.startswith(".npgpt")]
    shutil.rmtree(run)


def require_well_said(err, status, number):
    """Before the first message Python is starting, and after the last one ending: then it stops in its own way."""
    begun, ended = (re.search(words, err, re.MULTILINE) for words in ("^(resume|text) ", "^next: npgpt generate | is finished: all "))
    if begun and not ended:
        assert status == {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}[number], err
        if number != signal.SIGKILL:
            assert re.search(r"^(interrupted at step|stopped at once: )", err.splitlines()[-1]), err
            assert "Traceback" not in err


def in_a_fork(*arguments, limit=None):
    """The command line in a copy of this process  ->  exit status, standard error"""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            import resource
            materials.SAMPLE_TOKENS = 10
            os.dup2(writing, 2)
            sys.stdout, sys.stderr = open(os.devnull, "w"), open(2, "w", closefd=False)
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            status = main([str(argument) for argument in arguments])
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with open(reading) as stream:
        err = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), err


@pytest.fixture(scope="module")
def begun(place):
    """A run of 7 steps, and the same run with 9."""
    run, whole = place / "begun", place / "whole"
    for out, steps in ((run, 7), (whole, 9)):
        status, err = in_a_fork("train", *[place / "text.txt" if word == "text.txt" else word for word in RUN], "--steps", steps,
                                "--warmup", 2, "--learning-rate", 0.01, "--min-learning-rate", 0.01, "--eval-every", 7, "--out", out)
        assert status == 0, err
    return run, whole


def require_whole_though_it_failed(status, err, run):
    """A full disk is an error in one line, and the older or the newer checkpoint is complete."""
    if status != 0:
        assert status == 2 and "Traceback" not in err
        assert re.match(r"npgpt: error: \S+: (File too large|No space left on device|Operation not permitted)", err.splitlines()[-1]), err
    checkpoint, damaged = newest_checkpoint(run)
    assert damaged == [] and (checkpoint.step == 9 if status == 0 else checkpoint.step in (7, 9))
    assert np.isfinite(load_model(run)[0]).all()


def test_a_file_cut_short_at_any_byte_leaves_a_whole_checkpoint(place, begun):
    """As `ulimit -f` has it, at every length that a file of a checkpoint can have; then the run is resumed as if nothing had happened."""
    run, whole = begun
    largest = max(path.stat().st_size for path in run.rglob("*") if path.is_file())
    limits = range(largest + 2) if EXAMPLES >= THOROUGH else np.linspace(0, largest + 1, EXAMPLES // 2 + 1).astype(int)
    failures = 0
    for limit in limits:
        copy = place / "limited"
        shutil.copytree(run, copy)
        status, err = in_a_fork("train", "--resume", copy, "--steps", 9, limit=int(limit))
        failures += status != 0
        require_whole_though_it_failed(status, err, copy)
        status, err = in_a_fork("train", "--resume", copy, "--steps", 9)
        assert status == 0 and end_state(copy) == end_state(whole), err
        shutil.rmtree(copy)
    assert failures >= len(limits) - 2


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of so many bytes  ->  its folder; skips the test where that is not allowed"""
    mounted = []

    def mount(size):
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
            pytest.skip("mounting a file system is not allowed here")
        mounted.append(folder)
        return folder
    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full_at_any_page_leaves_a_whole_checkpoint(small_disk, begun):
    run, whole = begun
    disk = small_disk(2**20)
    with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    shutil.rmtree(disk / "run", ignore_errors=True)
    free = 0
    outcomes = []
    while True:
        os.truncate(disk / "filler", 2**20 - 4096 * free)
        with contextlib.suppress(shutil.Error, OSError):
            shutil.copytree(run, disk / "run")
        if not same_files(run, disk / "run"):                  # not even what is there before has room yet
            shutil.rmtree(disk / "run", ignore_errors=True)
            free += 1
            continue
        status, err = in_a_fork("train", "--resume", disk / "run", "--steps", 9)
        outcomes.append(status)
        require_whole_though_it_failed(status, err, disk / "run")
        if status == 0:
            assert end_state(disk / "run") == end_state(whole)
            break
        shutil.rmtree(disk / "run")
        free += 1 if EXAMPLES >= DEFAULT else 5
    assert len(outcomes) > (3 if EXAMPLES >= DEFAULT else 1)   # at first, the disk was full


def same_files(one, other):
    return all((other / path.relative_to(one)).is_file() and (other / path.relative_to(one)).read_bytes() == path.read_bytes()
               for path in one.rglob("*") if path.is_file())


def test_a_folder_that_becomes_read_only_is_an_error_in_one_line(place, begun):
    """While the run continues, as when the system finds a disk faulty and makes it read-only."""
    run, _ = begun
    copy = place / "frozen"
    shutil.copytree(run, copy)
    with subprocess.Popen([*COMMAND, "--resume", copy, "--steps", "1000000", "--checkpoint-every", "50"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while len((copy / METRICS_FILE).read_bytes().splitlines()) < 60:
            assert process.poll() is None
            time.sleep(0.01)
        try:
            frozen = subprocess.run(["chattr", "+i", copy / "checkpoints"], capture_output=True).returncode == 0
            if not frozen:
                process.kill()
                pytest.skip("a folder cannot be frozen here")
            _, err = process.communicate()
        finally:
            subprocess.run(["chattr", "-i", copy / "checkpoints"], capture_output=True)
    assert process.returncode == 2 and "Traceback" not in err
    assert re.fullmatch(rf"npgpt: error: {copy}/checkpoints/step-\d+: Operation not permitted; {copy} holds the model of step \d+; "
                        rf"resume with: npgpt train --resume {copy}", err.splitlines()[-1])
    checkpoint, damaged = newest_checkpoint(copy)
    assert damaged == [] and f"model of step {checkpoint.step};" in err
    assert in_a_fork("train", "--resume", copy, "--steps", checkpoint.step + 1)[0] == 0
