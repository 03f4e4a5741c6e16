"""The command line as a whole: dispatch, exit statuses, and error messages."""
import os
import signal
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest

from npgpt import __version__
from npgpt.__main__ import COMMANDS, main
from npgpt.errors import InputError
from npgpt.interop.huggingface import save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.text.raw_bytes import ByteTokenizer


COMMAND = [sys.executable, "-m", "npgpt"]
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def npgpt(*arguments, **settings):
    """`python -m npgpt` in a process of its own."""
    return subprocess.run([*COMMAND, *map(str, arguments)], text=True, capture_output=True, **settings)


@pytest.fixture
def command(monkeypatch):
    """Adds a command `try`, which does what it is given."""
    def add(run):
        module = types.SimpleNamespace(
            run=run, add_arguments=lambda parser: parser.add_argument("--number", type=int, default=7))
        monkeypatch.setitem(COMMANDS, "try", (module, "do what is given"))
    return add


@pytest.fixture
def model(tmp_path):
    """An untrained model of bytes."""
    config = GPTConfig(vocab_size=256, n_positions=8, n_embd=4, n_layer=1, n_head=1)
    save(tmp_path / "model", Model(initial_parameters(language_model_table(config)), config, ByteTokenizer()))
    return tmp_path / "model"


def test_a_command_gets_its_arguments_and_gives_the_exit_status(command):
    command(lambda args: args.number)
    assert main(["try", "--number", "5"]) == 5 and main(["try"]) == 7


@pytest.mark.parametrize("error, complaint", [
    (InputError("give less"), "give less"),
    (InputError("line\nline\r\x1b[31m\u2028é"), r"line\nline\r\x1b[31m\u2028é"),
    (FileNotFoundError(2, "No such file or directory", "a\nb"), r"a\nb: No such file or directory"),
    (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    (MemoryError("Unable to allocate"), "not enough memory: a smaller model, context or batch needs less")])
def test_an_error_that_the_user_can_correct_is_one_line_and_status_2(command, capsys, error, complaint):
    def fail(args):
        raise error
    command(fail)
    assert main(["try"]) == 2
    assert capsys.readouterr() == ("", f"npgpt: error: {complaint}\n")


@pytest.mark.parametrize("length", [7000, 10**7])
def test_a_very_long_message_is_cut_in_its_middle(command, capsys, length):
    def run(args):
        raise InputError(f"x.json: kind is {'y' * length}; npgpt knows z only")
    command(run)
    assert main(["try"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("npgpt: error: x.json: kind is yyy") and err.endswith("yyy; npgpt knows z only\n") and err.count("\n") == 1
    assert len(err) == 7000 + len("npgpt: error: x.json: kind is ; npgpt knows z only\n") if length == 7000 else len(err) < 9000


def test_ctrl_c_is_status_130(command, capsys):
    def interrupted(args):
        print("half a line", end="")
        raise KeyboardInterrupt
    command(interrupted)
    assert main(["try"]) == 130
    assert capsys.readouterr() == ("half a line", "\n")


@pytest.mark.parametrize("start", [["-m", "npgpt"], ["-c", "import sys; from npgpt.__main__ import main; sys.exit(main())"]])
def test_ctrl_c_while_numpy_is_still_being_imported_is_quiet(tmp_path, start):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    process = subprocess.Popen([sys.executable, *start, "train"], env={**os.environ, "PYTHONPATH": str(tmp_path)},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    assert process.communicate() == (b"", b"") and process.returncode == 130


def test_errors_of_npgpt_itself_are_not_hidden(command):
    def wrong(args):
        raise ValueError("shapes do not match")
    command(wrong)
    with pytest.raises(ValueError, match="shapes"):
        main(["try"])


def test_warnings_of_numpy_are_kept_to_the_command_that_runs(command):
    command(lambda args: int(np.isinf(np.float32(1e38) * np.float32(10))))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main(["try"]) == 1 and not caught
        assert np.isinf(np.float32(1e38) * np.float32(10)) and len(caught) == 1


@pytest.mark.parametrize("arguments, complaint", [
    ([], "the following arguments are required: COMMAND (see npgpt --help)"),
    (["learn"], "argument COMMAND: invalid choice: 'learn' (choose from"),
    (["evaluate", "--mode", "x"], "unrecognized arguments: --mode x"),
    (["evaluate", "--model"], "argument --model: expected one argument (see npgpt evaluate --help)"),
    (["evaluate", "stray\nargument"], r"unrecognized arguments: stray\nargument")])
def test_a_wrong_command_line_is_one_line_and_status_2(capsys, arguments, complaint):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("npgpt: error: ") and complaint in err and err.count("\n") == 1


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_goes_to_standard_output(capsys, name):
    with pytest.raises(SystemExit) as exit:
        main([*name.split(), "--help"])
    out, err = capsys.readouterr()
    assert exit.value.code == 0 and err == "" and out.startswith(f"usage: npgpt {name}")


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0 and capsys.readouterr() == (f"npgpt {__version__}\n", "")


def test_help_is_the_same_without_docstrings():
    """Python removes them if PYTHONOPTIMIZE is 2."""
    plain, optimised = (npgpt("trace", "--help", env={**os.environ, "PYTHONOPTIMIZE": level}) for level in "02")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert (optimised.returncode, optimised.stdout, optimised.stderr) == (0, plain.stdout, "")


def test_a_process_reports_an_error_without_a_traceback(tmp_path):
    result = npgpt("evaluate", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "npgpt: error: there is no model in out yet: npgpt train makes one there, or --model names another\n"


def test_a_process_refuses_a_binary_file(tmp_path):
    (tmp_path / "data").write_bytes(b"\x7fELF\0\0")
    result = npgpt("train", "--data", "data", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "npgpt: error: data is not a text file: it has a zero byte at offset 4\n"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_reader_that_closes_the_pipe_is_not_an_error(model):
    with subprocess.Popen([*COMMAND, "generate", "--model", model, "--max-new-tokens", "100000"], env=BUFFERED,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


SHORT = [["generate", "--model", "model", "--max-new-tokens", "5"],
         ["evaluate", "--model", "model", "--data", "text"],
         ["train", "--help"]]


@pytest.mark.parametrize("arguments", SHORT)
def test_a_reader_that_closes_the_pipe_at_once_is_not_an_error(model, tmp_path, arguments):
    (tmp_path / "text").write_text("some text")
    with subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, env=BUFFERED,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", SHORT)
def test_output_that_does_not_fit_on_the_disk_is_an_error_in_one_line(model, tmp_path, arguments):
    (tmp_path / "text").write_text("some text")
    with open("/dev/full", "w") as full:
        result = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, env=BUFFERED, text=True,
                                stdout=full, stderr=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (2, "npgpt: error: [Errno 28] No space left on device\n")


def with_closed(stream, *arguments, **settings):
    """A process that starts without standard input (0), output (1) or error (2)."""
    return subprocess.run(["sh", "-c", f'exec "$@" {stream}>&-', "sh", *COMMAND, *map(str, arguments)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=BUFFERED, **settings)


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_stream_that_is_closed_from_the_beginning_is_done_without(model, tmp_path, stream):
    """In particular, an error is not printed on standard output instead."""
    (tmp_path / "text").write_text("some text")
    good = with_closed(stream, "evaluate", "--model", model, "--data", "text", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "") and ("loss" in good.stdout) == (stream != 1)
    wrong = with_closed(stream, "evaluate", "--model", model, "--data", "none", cwd=tmp_path)
    complaint = "npgpt: error: none: No such file or directory\n"
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (2, "", "" if stream == 2 else complaint)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_the_status_tells_of_an_error_even_if_its_message_cannot_be_written(tmp_path):
    with open("/dev/full", "w") as full:
        result = subprocess.run([*COMMAND, "evaluate", "--data", "none"], cwd=tmp_path, env=BUFFERED, text=True,
                                stdout=subprocess.PIPE, stderr=full)
    assert (result.returncode, result.stdout) == (2, "")


def test_the_status_tells_of_an_error_even_if_nobody_reads_standard_error(tmp_path):
    with subprocess.Popen([*COMMAND, "evaluate", "--data", "none"], cwd=tmp_path, env=BUFFERED,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stderr.close()
        assert process.stdout.read() == b""
    assert process.returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_character_stops_the_output_whatever_the_terminals_encoding(model, encoding):
    result = npgpt("generate", "--model", model, "--prompt", "a€\u4e2d", "--max-new-tokens", 1, encoding=encoding,
                   env={**os.environ, "PYTHONIOENCODING": encoding})
    shown = {"ascii": "a??", "cp1252": "a€?", "utf-8": "a€\u4e2d"}
    assert result.returncode == 0 and result.stdout.startswith(shown[encoding])
