"""npgpt generate --interactive"""
import dataclasses
import io
import itertools
import os
import signal
import subprocess
import sys

import pytest

from npgpt.commands import interactive
from npgpt.generation import inference
from npgpt.generation.conversation import Conversation
from npgpt.interop.huggingface import load_model, save
from npgpt.model.model import Model
from npgpt.text.tokenizer import load_tokenizer


@pytest.fixture
def say(npgpt, model, monkeypatch):
    """Runs a conversation with these lines on standard input."""
    def run(lines, *arguments):
        data = lines if isinstance(lines, bytes) else lines.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return npgpt("generate", "--model", model, "--interactive", *arguments)
    return run


def expected(model, prompt, lines, n, stop="\n"):
    """Greedy answers of up to n characters, each of which is a token; computed from the whole text so far."""
    parameters, config = load_model(model)
    tokenizer, text, answers = load_tokenizer(model), prompt, []
    for line in lines:
        text, answer = text + line, ""
        conversation = Conversation(parameters, config)
        conversation.read(tokenizer.encode(text))
        for choice in itertools.islice(conversation.answer(None, greedy=True), n):
            answer += tokenizer.decode([choice.token])
            if answer.endswith(stop):
                break
        text += answer if answer.endswith(stop) else answer + stop
        answers.append(answer.removesuffix(stop))
    return "".join(answer + "\n" for answer in answers)


@pytest.mark.parametrize("prompt, stop", [("", "\n"), ("fox\n", "\n"), ("dog", "o")])
def test_every_line_continues_the_text_so_far(say, model, prompt, stop):
    """Whether an answer ends with the stop text or not, the next line begins after it."""
    lines = ["t", "qu", "", "d", "o"]
    stops = [] if stop == "\n" else ["--stop", stop]
    outcome = say("\n".join(lines), "--greedy", "--max-new-tokens", 2, "--prompt", prompt, *stops)
    assert (outcome.status, outcome.err) == (0, "") and outcome.out == expected(model, prompt, lines, 2, stop)


def test_an_answer_that_ends_with_the_stop_text_is_not_given_a_second_one(say, model):
    stop = expected(model, "", ["t"], 2)[1]                # the second character of the first answer
    answers = expected(model, "", ["t", "q"], 9, stop)
    assert len(answers.splitlines()[0]) < 2                # which ends there
    assert say("t\nq", "--greedy", "--max-new-tokens", 9, "--stop", stop).out == answers


def test_the_end_of_text_token_ends_an_answer_unless_that_is_ignored(say, model):
    first = expected(model, "", ["t"], 1)[0]
    parameters, config = load_model(model)
    end = int(load_tokenizer(model).encode(first)[0])
    save(model, Model(parameters, dataclasses.replace(config, eos_token_id=end), load_tokenizer(model)))
    assert say("t", "--greedy", "--max-new-tokens", 3).out == "\n"
    assert say("t", "--greedy", "--max-new-tokens", 3, "--ignore-end").out == expected(model, "", ["t"], 3)


def test_a_second_answer_is_computed_from_the_cache(say, monkeypatch):
    """Of a + 2 tokens + a line end + b + 2 tokens, none is computed twice."""
    counts, gpt, decode_step = [], inference.gpt, inference.decode_step
    monkeypatch.setattr(inference, "gpt", lambda ids, *rest, **kept: counts.append(ids.size) or gpt(ids, *rest, **kept))
    monkeypatch.setattr(inference, "decode_step", lambda *rest: counts.append(1) or decode_step(*rest))
    assert say("a\nb\n", "--greedy", "--max-new-tokens", 2).status == 0
    assert 4 <= sum(counts) <= 7


def test_sampling_depends_on_the_seed(say):
    first, same, other = (say("the\nfox\n", "--max-new-tokens", 30, "--seed", seed).out for seed in (1, 1, 2))
    assert first == same != other


def test_an_empty_first_line_begins_with_the_default_prompt(say):
    assert say("\n", "--max-new-tokens", 3).status == 0


def test_a_line_that_the_vocabulary_lacks_is_skipped_with_an_error(say, model):
    outcome = say("the\nTHE\ndog", "--greedy", "--max-new-tokens", 1)
    assert outcome.status == 0 and outcome.out == expected(model, "", ["the", "dog"], 1)
    assert outcome.err.startswith("npgpt: error: the character 'T'") and outcome.err.count("\n") == 1


def test_lines_that_are_not_utf_8_are_refused(say):
    outcome = say(b"caf\xe9\n")
    assert outcome.status == 2 and "standard input is not UTF-8 text" in outcome.err


@pytest.mark.parametrize("arguments", [["--beams", 2], ["--num-samples", 2], ["--show-log-probabilities"],
                                       ["--prompt-file", "-"]])
def test_what_cannot_be_combined_is_refused(refused, model, arguments):
    assert "--interactive" in refused("generate", "--model", model, "--interactive", *arguments)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_ctrl_c_ends_an_answer_or_drops_a_line_and_ctrl_d_ends_the_program(npgpt, model, monkeypatch):
    typed = iter(["the", KeyboardInterrupt, "fox", EOFError])

    def typed_line(prompt):
        line = next(typed)
        if not isinstance(line, str):
            raise line
        return line

    def slow(tokens, tokenizer, stops):
        yield tokenizer.decode([next(tokens)])
        raise KeyboardInterrupt
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", typed_line)
    monkeypatch.setattr(interactive, "stream_text", slow)
    outcome = npgpt("generate", "--model", model, "--interactive", "--greedy")
    assert outcome.status == 0 and outcome.err == ""
    first, dropped, second, end = outcome.out.splitlines(keepends=True)
    assert first + second == expected(model, "", ["the", "fox"], 1) and dropped == end == "\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
def test_a_signal_ends_the_answer_and_not_the_program(model):
    """A model that would write for hours. Where the tests run in the background, SIGINT may be ignored: not in the process."""
    command = [sys.executable, "-m", "npgpt", "generate", "--model", model, "--interactive", "--max-new-tokens", 10**9,
               "--stop", "!!", "--temperature", 5]
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        process.stdin.write(b"the\n")
        process.stdin.flush()
        assert len(process.stdout.read(5)) == 5
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)                        # closes its input, which ends the conversation
    assert process.returncode == 0
