"""npgpt evaluate: measure how well a model predicts a text."""
import argparse
import math

from npgpt.commands.arguments import OUT, path
from npgpt.commands.progress import Progress
from npgpt.interop.huggingface import load_model
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.text.corpus import python_documentation, read_text
from npgpt.text.tokenizer import load_tokenizer
from npgpt.training.evaluation import batch_losses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=path, default=OUT, metavar="DIR", help=f"a model directory (default: {OUT})")
    parser.add_argument("--data", type=path, nargs="+", metavar="FILE",
                        help="UTF-8 text files (default: the documentation that comes with Python)")


def run(args: argparse.Namespace) -> int:
    parameters, config = load_model(args.model)
    tokenizer = load_tokenizer(args.model)
    text = read_text(args.data) if args.data else python_documentation()
    tokens = tokenizer.encode(text)

    task, nats, count = LanguageModelling(config), 0.0, 0
    with Progress() as progress:
        for loss, targets in batch_losses(task, parameters, task.batches(tokens)):
            nats += loss * targets
            count += targets
            progress.status(f"{count:,} of {len(tokens) - 1:,} tokens  loss {nats / count:.4f}")

    loss = nats / count
    predicted_bytes = len(text.encode("utf-8", "surrogatepass")) - len(tokenizer.decode_bytes(tokens[:1]))
    print(f"tokens         {count:,} predicted: all but the first")
    print(f"loss           {loss:.4f} nats a token")
    print(f"perplexity     {math.exp(loss) if loss < 700 else math.inf:.3f}")
    print(f"bits per byte  {nats / math.log(2) / predicted_bytes:.4f}")
    return 0
