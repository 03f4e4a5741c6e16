"""Benchmarks: they run, say what they found, and their arithmetic is right."""
import dataclasses
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as tree

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))                   # the benchmarks are no part of the package that is installed

from benchmarks import in_context, scoring, versus_marian  # noqa: E402
from benchmarks.__main__ import make_parser  # noqa: E402
from benchmarks.attention_band import pairs  # noqa: E402
from benchmarks.layers import cases, least_work, upstream  # noqa: E402
from benchmarks.machine import thread_counts  # noqa: E402
from benchmarks.peer import Peer, PeerError  # noqa: E402
from benchmarks.roofline import Peak, Work, attention_flops, bound, training_flops  # noqa: E402
from benchmarks.scaling import exponent  # noqa: E402
from benchmarks.shapes import SHAPES, Plan, Shape, write_problem  # noqa: E402
from benchmarks.table import WIDTH, Table, number  # noqa: E402
from benchmarks.timing import Effort, measure, speed, summarise, take_turns  # noqa: E402
from benchmarks.versus_torch import DifferentLoss, require_equal  # noqa: E402
from npgpt.generation.generate import generate  # noqa: E402
from npgpt.interop.huggingface import load, save  # noqa: E402
from npgpt.layers.attention import causal_mask  # noqa: E402
from npgpt.model.model import Model  # noqa: E402
from npgpt.model.parameters import parameter_count  # noqa: E402
from npgpt.model.presets import preset  # noqa: E402
from npgpt.scoring.likelihood import Likelihood  # noqa: E402
from npgpt.tasks.translation import Translation  # noqa: E402

TINY = Shape("small", "as small as can be", preset("tiny"), 2, 8)

# Runs the command line in a process of its own, with sizes that take no time.
QUICKLY = """
import sys
from benchmarks import attention_band, layers, machine, scaling, shapes, train
from benchmarks.__main__ import main
from benchmarks.timing import Effort, Rounds
from npgpt.model.presets import preset
machine.PRODUCTS, machine.PRODUCT_FLOPS, machine.ARRAY = (32,), 10**5, 10**5
shapes.SHAPES[:] = [shapes.Shape("small", "as small as can be", preset("tiny"), 2, 8)]
layers.SHORT_EFFORT = scaling.SHORT_EFFORT = Effort(warmup=0, least=2, seconds=0)
train.SHORT_EFFORT = Rounds(warmup=1, rounds=2, least=2, seconds=0)
scaling.BASE.update(T=4, C=64, L=1, B=1, V=8)
scaling.POINTS = {"T": [2, 4, 8], "L": [1, 2]}
attention_band.LENGTHS, attention_band.WINDOW = [8, 16], 4
sys.exit(main(sys.argv[1:]))
"""


def quickly(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", QUICKLY, *map(str, arguments), "--short", "--threads", "2"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment})


def test_help_names_every_benchmark_and_how_to_begin():
    answer = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0
    for word in ("layers", "train", "generate", "scaling", "attention_band", "versus_torch", "versus_transformers",
                 "versus_marian", "scoring", "Start with: python -m benchmarks --short"):
        assert word in answer.stdout


def test_a_run_prints_tables_and_writes_figures(tmp_path):
    answer = quickly("layers", "train", "generate", "scaling", "attention_band", "--json", tmp_path / "figures.json")
    assert answer.returncode == 0, answer.stderr
    assert max(map(len, answer.stdout.splitlines())) <= WIDTH
    for word in ("BLAS", "NumPy", "float32", "threads", "feed_forward", "2 threads are", "ms/token", "Exponents"):
        assert word in answer.stdout

    document = json.loads((tmp_path / "figures.json").read_text())
    assert set(document["results"]) == {"layers", "train", "generate", "scaling", "attention_band"}
    assert document["machine"]["dtype"] == "float32" and document["peaks"]["2"]["sgemm peak GFLOP/s"] > 0
    linear = document["results"]["layers"]["small"]["linear"]["forward"]
    assert linear["flops"] == 2 * 16 * 12 * 48 and 0 < linear["ms low"] <= linear["ms"] <= linear["ms high"]
    assert np.isclose(linear["GFLOP/s"], linear["flops"] / linear["ms"] / 1e6)
    assert list(document["results"]["attention_band"]) == ["8", "16"]
    step = document["results"]["train"]["small"]["1 threads"]["step"]
    assert np.isclose(step["tokens/s"], 16 / step["ms"] * 1000)


def test_without_torch_one_line_says_so(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch here')")
    answer = quickly("versus_torch", PYTHONPATH=str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert f"left out: no torch could be imported by {sys.executable} (see --torch-python)" in answer.stdout


@pytest.mark.parametrize("name, library", [("versus_torch", "torch"), ("versus_transformers", "transformers"),
                                           ("versus_marian", "transformers"), ("scoring", "transformers")])
def test_an_interpreter_that_does_not_exist_has_no_torch_and_no_transformers(name, library):
    answer = quickly(name, "--torch-python", "/nowhere/python")
    assert answer.returncode == 0 and f"left out: no {library} could be imported by /nowhere/python" in answer.stdout


def test_shapes_may_be_named():
    assert [shape.name for shape in Plan(True, 2, "", {}, ["gpt2"]).shapes] == ["gpt2"]
    assert Plan(True, 2, "", {}, []).shapes == SHAPES[:2] and Plan(False, 2, "", {}, []).shapes == SHAPES


@pytest.mark.parametrize("new", [1, 3])
def test_a_process_continues_a_prompt(new, tmp_path):
    save(tmp_path, Model(TINY.parameters(), TINY.config, None))
    expected = next(generate(TINY.parameters(), TINY.config, [1, 2], np.random.default_rng(0), greedy=True))
    with Peer("generation_peer") as peer:
        peer.ask("start", folder=str(tmp_path), prompt=[1, 2], new=new, threads=1)
        steps = peer.ask("burst", steps=2)["steps"]
        assert [step["first"] for step in steps] == [expected] * 2 and all(step["seconds"] > 0 for step in steps)


@pytest.mark.parametrize("arguments, complaint", [
    (["sort"], "no benchmark or shape is called 'sort'"),
    (["--json", "/nowhere/new.json"], "/nowhere/new.json: No such file"),
    (["--threads", "0"], "--threads must be 1 or more"),
])
def test_a_mistake_is_told_before_anything_is_measured(arguments, complaint, capsys):
    from benchmarks.__main__ import main
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr()
    assert stop.value.code == 2 and complaint in said.err and not said.out


@pytest.mark.parametrize("T, window", [(9, 4), (4, 4), (3, 5), (2048, 256)])
def test_the_pairs_of_a_band_are_those_that_a_mask_lets_through(T, window):
    assert pairs(T, window) == causal_mask(T, T, window).sum()


def test_the_exponent_of_a_power_is_found():
    sizes = [1, 2, 4, 8]
    assert np.isclose(exponent(sizes, [3 * n**1.5 for n in sizes]), 1.5)
    assert exponent([1], [5.0]) is None


def test_the_slower_of_arithmetic_and_memory_bounds_a_layer():
    peak = Peak(flops=100, bandwidth=10, reading=20)
    assert bound(Work(flops=200, bytes=10), peak) == (2.0, "sgemm")
    assert bound(Work(flops=200, bytes=30), peak) == (3.0, "memory")


def test_flops_of_training_are_counted_product_by_product():
    config = preset("tiny")                     # V 11, C 12, L 2
    B, T, C, V = 2, 3, 12, 11
    products = [(C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)]
    block = sum(2 * B * T * i * o for i, o in products) + B * (1 + 2 + 3) * 2 * 2 * C
    assert attention_flops(B, T, C) == B * (1 + 2 + 3) * 2 * 2 * C
    assert training_flops(config, B, T) == 3 * (2 * block + 2 * B * T * C * V)


def test_the_least_work_of_every_layer_is_counted():
    for case in cases(TINY):
        y, cache = case.forward()
        dy = upstream(y)
        forward, backward = least_work(case, y, dy, case.backward(dy, cache)).values()
        assert backward.flops == 2 * forward.flops and forward.bytes > 0 and backward.bytes > 0
        if case.layer == "linear":
            rows, C, I = 16, 12, 48
            assert forward == (2 * rows * C * I, 4 * (rows * C + C * I + I + rows * I))
            assert backward == (4 * rows * C * I, 4 * (rows * I + 2 * (rows * C + C * I + I)))


def test_measuring_warms_up_and_then_counts():
    calls = []
    times = measure(lambda: calls.append(0), Effort(warmup=2, least=3, seconds=0))
    assert len(calls) == 5 and times.count == 3 and times.low <= times.median <= times.high
    assert summarise([4.0, 1.0, 2.0, 3.0, 5.0]) == (3.0, 2.0, 4.0, 5)


def test_bursts_alternate_and_the_ratio_is_that_of_the_medians():
    order = []
    found = take_turns([lambda: order.append("a") or [1.0, 1.0], lambda: order.append("b") or [2.0, 4.0]], 3)
    assert "".join(order) == "abbaab"
    assert found == [[[1.0, 1.0]] * 3, [[2.0, 4.0]] * 3]
    assert speed(*found) == (3.0, 3.0, 3.0, 3)


def test_threads_grow_by_doubling_up_to_the_most():
    assert [thread_counts(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


def test_a_table_keeps_its_columns(capsys):
    Table(("name", -6), ("ms", 8)).row("gpt2", number(1234.5))
    assert capsys.readouterr().out.splitlines() == ["name          ms", "-" * 16, "gpt2       1,234"]
    assert [number(x) for x in (None, 0, 0.0123, 1.5, 12.34, 12345)] == ["-", "0.00", "0.012", "1.50", "12.3", "12,345"]


def test_a_training_process_makes_steps_and_tells_of_errors(tmp_path):
    problem = write_problem(TINY, tmp_path)
    with Peer("npgpt_peer") as peer:
        peer.ask("start", **problem, threads=2)
        steps = peer.ask("burst", steps=3)["steps"]
        assert len(steps) == 3 and np.isclose(steps[0]["loss"], TINY.task.loss(TINY.batch(), TINY.parameters()))
        assert steps[2]["loss"] < steps[0]["loss"]
        assert all(np.isclose(step["seconds"], step["gradients"] + step["optimiser"]) for step in steps)
        with pytest.raises(PeerError, match="npgpt_peer: .*KeyError"):
            peer.ask("sing")
        assert len(peer.burst(1)) == 1


def test_a_training_process_makes_steps_of_an_encoder_decoder(tmp_path):
    shape = versus_marian.SHAPES[0]
    tiny = shape._replace(config=dataclasses.replace(shape.config, n_embd=8, n_head=2, n_layer=1), B=3, S=5, T=6)
    with Peer("pairs_peer") as peer:
        peer.ask("start", **versus_marian.write_problem(tiny, tmp_path), threads=2)
        first, _, last = peer.ask("burst", steps=3)["steps"]
    loss = Translation(tiny.config).loss(tiny.batch(), load(tmp_path).parameters)
    assert np.isclose(first["loss"], loss) and last["loss"] < first["loss"]


def test_likelihoods_that_differ_are_not_compared():
    found = [Likelihood(-8.0, 4, False)]
    scoring.require_equal(found, [-8.001])
    with pytest.raises(PeerError, match="differ by 2.5e-03 nats"):
        scoring.require_equal(found, [-8.01])


def test_learning_in_context_is_measured_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(in_context, "BATCHES", 1)
    in_context.main([str(tmp_path), "--steps", "1", "--threads", "1"])
    said = capsys.readouterr().out
    texts = {file.name: [one.text for one in tree.parse(file).iter("{http://www.w3.org/2000/svg}text")]
             for file in tmp_path.iterdir()}
    assert len(texts) == 2 and "shots" in texts["in_context.svg"] and "layer 1" in " ".join(texts["induction_head.svg"])
    for name in in_context.MODELS:
        assert re.search(rf"^{name}( +[01]\.\d{{3}}){{5}}", said, re.MULTILINE) and name in texts["in_context.svg"]


def test_on_one_thread_forward_and_backward_are_timed(tmp_path):
    with Peer("npgpt_peer") as peer:
        peer.ask("start", **write_problem(TINY, tmp_path), threads=1)
        step, = peer.burst(1)
        assert step["forward"] > 0 and step["backward"] > 0
        assert np.isclose(step["gradients"], step["forward"] + step["backward"])


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_torch_gives_the_same_loss_before_and_after_updates(tmp_path):
    problem = write_problem(TINY, tmp_path)
    with Peer("npgpt_peer") as ours, Peer("torch_peer") as theirs:
        ours.ask("start", **problem, threads=1)
        theirs.ask("start", **problem, threads=1, compiled=False)
        our_losses, their_losses = ([step["loss"] for step in peer.ask("burst", steps=5)["steps"]] for peer in (ours, theirs))
        assert np.allclose(our_losses, their_losses, rtol=1e-5)


@pytest.mark.parametrize("ours", [4.2 * 1.0002, 4.2 * 0.9998, float("nan")])
def test_speeds_of_models_with_different_losses_are_not_compared(ours):
    require_equal(4.2 * 1.00005, 4.2)
    with pytest.raises(DifferentLoss, match="The same weights and batch give different losses"):
        require_equal(ours, 4.2)


def test_the_shapes_are_those_that_others_are_measured_on():
    assert [shape.sizes for shape in SHAPES] == ["L4 H4 C128 T64 B12 V65", "L6 H6 C384 T256 B8 V65",
                                                 "L12 H12 C768 T64 B4 V50257"]
    assert parameter_count(SHAPES[2].task.table) == 124_439_808


def test_the_arguments_that_the_pages_show_are_taken():
    pages = [ROOT / "README.md", *ROOT.glob("[a-z]*/README.md"), *ROOT.glob("npgpt/*/README.md")]
    shown = [line for page in pages for line in re.findall(r"python -m benchmarks (.*)$", page.read_text("utf-8"), re.MULTILINE)]
    assert shown and all(make_parser().parse_args(shlex.split(line)) for line in shown)
