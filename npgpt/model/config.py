"""What a GPT is made of: sizes and settings, under the names of Hugging Face's GPT2Config."""
import dataclasses
import sys
from dataclasses import dataclass

from npgpt.errors import InputError
from npgpt.layers.feed_forward import ACTIVATIONS

POSITIONS = ("learned", "sinusoidal")
# Far beyond any GPT: what a damaged or hostile file says must not become an array, or endless names.
LIMITS = {"vocab_size": 2**24, "n_positions": 2**24, "n_embd": 2**20, "n_layer": 2**12, "n_head": 2**20}
FRACTIONS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")


@dataclass(frozen=True)
class GPTConfig:
    """The defaults are GPT-2's (Radford et al. 2019). Raises InputError, naming the field and the rule."""
    vocab_size: int = 50257                     # V
    n_positions: int = 1024                     # the longest T
    n_embd: int = 768                           # C
    n_layer: int = 12                           # L
    n_head: int = 12                            # H
    n_inner: int | None = None                  # width of the feed-forward; None means 4 C
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1                    # dropout on what joins the residual stream,
    embd_pdrop: float = 0.1                     # on the embeddings,
    attn_pdrop: float = 0.1                     # and on the attention weights
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
    position_embedding_type: str = "learned"    # "sinusoidal" has no parameters
    bos_token_id: int | None = None
    eos_token_id: int | None = None

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            self.require(name, is_integer(getattr(self, name)) and 1 <= getattr(self, name) <= most,
                         f"a whole number from 1 to {most:,}")
        self.require("n_inner", self.n_inner is None or is_integer(self.n_inner) and 1 <= self.n_inner <= 2**22,
                     f"a whole number from 1 to {2**22:,}, or None for 4 n_embd")
        self.require("n_head", self.n_embd % self.n_head == 0, f"a divisor of n_embd ({self.n_embd})")
        self.require("activation_function", self.activation_function in tuple(ACTIVATIONS), one_of(ACTIVATIONS))
        for name in FRACTIONS:
            self.require(name, is_number(getattr(self, name)) and 0 <= getattr(self, name) < 1, "a number in [0, 1)")
        self.require("layer_norm_epsilon", is_number(self.layer_norm_epsilon) and self.layer_norm_epsilon > 0,
                     "a number above 0")
        self.require("initializer_range", is_number(self.initializer_range) and self.initializer_range >= 0,
                     "a number of 0 or more")
        self.require("tie_word_embeddings", isinstance(self.tie_word_embeddings, bool), "true or false")
        self.require("position_embedding_type", self.position_embedding_type in POSITIONS, one_of(POSITIONS))
        for name in ("bos_token_id", "eos_token_id"):
            token = getattr(self, name)
            self.require(name, token is None or is_integer(token) and 0 <= token < self.vocab_size,
                         f"a token id below vocab_size ({self.vocab_size}), or None")

    def require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise InputError(f"{name} must be {rule}, not {getattr(self, name)!r}")

    @property
    def inner(self) -> int:
        """Width of the feed-forward's middle."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    def without_dropout(self) -> "GPTConfig":
        return dataclasses.replace(self, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)


def is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def one_of(names) -> str:
    return "one of " + ", ".join(names)
