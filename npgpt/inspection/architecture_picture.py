"""The picture of a GPT's architecture: data flowing forward, gradients flowing back, and their shapes."""
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.inspection.picture import PAGE, picture, text
from npgpt.model.config import GPTConfig

WIDTH, MARGIN = 716, 14
MODEL, BLOCK = 170, 520                         # the middles of the two columns
TOP = 54                                        # where the columns begin
BOX, BESIDE, SKIP = 114, 10, 132                # half a box's width; from the middle: to the arrows, to the residual stream
LINE = 21                                       # the height of a line of text
EDGE, SUM, SPLIT = 46, 26, 20                   # heights of arrows, of a sum, and of where the residual stream leaves
FRAME = BLOCK - SKIP - 46, MARGIN, WIDTH - MARGIN          # of the block: left, top, right
STYLE = """text { fill: var(--ink); font: 15px system-ui, sans-serif; }
.layer { font-weight: 600; } .small, .size { fill: var(--quiet); }
.forward { fill: var(--c0); } .gradient { fill: var(--c1); }
path, .box, circle, .frame { fill: none; stroke-width: 1.6; stroke: var(--quiet); }
path.forward { stroke: var(--c0); fill: none; } path.gradient { stroke: var(--c1); fill: none; }
.box, circle { fill: var(--card); } .frame, .zoom { stroke: var(--line); } .zoom { stroke-dasharray: 4 4; }
@media (max-width: 36rem) { text { font-size: 18px; } }
"""


class Data(NamedTuple):
    """An array between two layers, with arrows for it and for its gradient. No gradient: it is not differentiable."""
    name: str
    shape: str
    gradient: str = ""
    splits: bool = False                        # into a branch and the residual stream


class Layer(NamedTuple):
    name: str
    details: tuple[str, ...] = ()


class Sum(NamedTuple):
    """The residual stream plus a branch. since: how many steps before it the stream and the branch part."""
    since: int
    gradients: str                              # how the two gradients add up there


Step = Data | Layer | Sum


def architecture_picture(config: GPTConfig, B: int, T: int) -> bytes:
    """SVG of the whole model and of one of its blocks, for batches of B sequences of T tokens."""
    model, block = model_steps(config), block_steps(config)
    bottom = TOP + max(tops(model)[-1], tops(block)[-1]) + MARGIN / 2
    left, top, right = FRAME
    parts = [text(MODEL, 34, "the model", "middle", "layer"), text(BLOCK, 34, "a block", "middle", "layer"),
             f'<rect class="frame" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="8"/>',
             *zoom(model, bottom), *column(model, MODEL), *column(block, BLOCK), *legend(config, B, T, bottom + LINE + 4)]
    title = "A GPT: data flows forward, gradients flow back"
    return picture(title, WIDTH, bottom + 2 * LINE + MARGIN, parts, STYLE, shown=PAGE)


def model_steps(config: GPTConfig) -> list[Step]:
    positions = "wpe[0 .. T-1]" if config.position_embedding_type == "learned" else "sin, cos of positions"
    last_norm = [Layer("layer norm"), Data("y", "B, T, C", "dy")] if config.pre_layer_norm else []
    head = "y wteᵀ, the same table" if config.tie_word_embeddings else "y wᵀ, a table of its own"
    return [Data("ids", "B, T"), Layer("embedding", ("wte[ids]", "+ " + positions)), Data("x", "B, T, C", "dx"),
            Layer(f"{config.n_layer} block{'s' * (config.n_layer > 1)}"), Data("x", "B, T, C", "dx"), *last_norm,
            Layer("head", (head,)), Data("logits", "B, T, V", "dlogits"),
            Layer("cross-entropy", ("with the targets (B, T)",)), Data("loss", "", "1")]


def block_steps(config: GPTConfig) -> list[Step]:
    """In the words of model/block.py or model/post_ln_block.py."""
    def data(name: str, splits: bool = False) -> Data:
        return Data(name, "B, T, C", "d" + name, splits)

    norm = Layer("layer norm")
    attention = Layer("self-attention", ("q, k, v (B, H, T, D)", "weights (B, H, T, T)"))
    feed_forward = Layer("feed-forward", ("h, a (B, T, I)",))
    if config.pre_layer_norm:
        return [data("x", True), norm, data("normed"), attention, data("branch"), Sum(5, "dx += dm"),
                data("m", True), norm, data("normed"), feed_forward, data("branch"), Sum(5, "dm += dy"), data("y")]
    return [data("x", True), attention, data("branch"), Sum(3, "dx += dsum"), data("sum"), norm, data("n", True),
            feed_forward, data("branch"), Sum(3, "dn += dsum"), data("sum"), norm, data("y")]


def tops(steps: Sequence[Step]) -> list[float]:
    """Where each step begins, from the top of its column, and where the last one ends."""
    return list(itertools.accumulate(map(height, steps), initial=0))


def height(step: Step) -> float:
    if isinstance(step, Data):
        return EDGE + SPLIT * step.splits
    return SUM if isinstance(step, Sum) else LINE * (1 + len(step.details)) + 12


def column(steps: Sequence[Step], x: float) -> list[str]:
    parts, ends = [], [TOP + end for end in tops(steps)]
    for i, step in enumerate(steps):
        if isinstance(step, Data):
            parts += edge(step, x, ends[i], ends[i + 1])
        elif isinstance(step, Layer):
            parts += box(step, x, ends[i], ends[i + 1])
        else:
            parts += addition(step, x, (ends[i] + ends[i + 1]) / 2, ends[i - step.since])
    return parts


def edge(data: Data, x: float, top: float, bottom: float) -> list[str]:
    middle = bottom - EDGE / 2 + 5
    parts = [arrow("forward", x - BESIDE, top + 3, bottom - 3),
             text(x - BESIDE - 8, middle, f"{data.name} ({data.shape})", "end", "forward")]
    if data.gradient:
        parts += [arrow("gradient", x + BESIDE, bottom - 3, top + 3),
                  text(x + BESIDE + 8, middle, data.gradient, kind="gradient")]
    return parts


def arrow(kind: str, x: float, start: float, end: float) -> str:
    back = -6 if end > start else 6
    return f'<path class="{kind}" d="M{x} {start}V{end}m-4 {back}l4 {-back}l4 {back}"/>'


def box(layer: Layer, x: float, top: float, bottom: float) -> list[str]:
    lines = [text(x, top + LINE, layer.name, "middle", "layer"),
             *(text(x, top + LINE * (i + 2), line, "middle", "small") for i, line in enumerate(layer.details))]
    return [f'<rect class="box" x="{x - BOX}" y="{top}" width="{2 * BOX}" height="{bottom - top}" rx="6"/>', *lines]


def addition(total: Sum, x: float, y: float, start: float) -> list[str]:
    """The stream leaves the branch's path below `start` and comes back at y; its gradient takes the same way back."""
    leave, out = start + 9, x + SKIP
    return [f'<path class="forward" d="M{x - BESIDE} {leave}H{out}V{y - 4}H{x + 13}m6 -4l-6 4l6 4"/>',
            f'<path class="gradient" d="M{x + 13} {y + 5}H{out + 9}V{leave + 9}H{x + BESIDE}m6 -4l-6 4l6 4"/>',
            f'<circle cx="{x}" cy="{y}" r="12"/><path d="M{x - 6} {y}h12m-6 -6v12"/>',
            text(out + 26, (leave + y) / 2, total.gradients, "middle", "gradient", upwards=True)]


def zoom(model: Sequence[Step], bottom: float) -> list[str]:
    """Dashed lines from the blocks of the model to the frame that shows one of them."""
    i = next(i for i, step in enumerate(model) if isinstance(step, Layer) and "block" in step.name)
    top, below = (TOP + end for end in tops(model)[i:i + 2])
    left, right = MODEL + BOX, FRAME[0]
    return [f'<path class="zoom" d="M{left} {top}L{right} {MARGIN + 6}M{left} {below}L{right} {bottom - 6}"/>']


def legend(config: GPTConfig, B: int, T: int, y: float) -> list[str]:
    C, H = config.n_embd, config.n_head
    sizes = {"B": B, "T": T, "C": C, "H": H, "D": C // H, "I": config.inner, "V": config.vocab_size}
    return [text(MARGIN, y, "↓ data flows forward", kind="forward"),
            text(WIDTH / 2, y, "↑ gradients: dz has the shape of z", kind="gradient"),
            text(MARGIN, y + LINE, ", ".join(f"{name} {size:,}" for name, size in sizes.items()), kind="small")]
