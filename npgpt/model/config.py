"""Configuration: a model's sizes and settings, under the names of Hugging Face's GPT2Config."""
import dataclasses
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from npgpt.errors import InputError
from npgpt.layers.feed_forward import ACTIVATIONS

Config = TypeVar("Config", bound="TransformerConfig")
POSITION_EMBEDDINGS = ("learned", "sinusoidal")
# Far beyond any model, so that a damaged or hostile file cannot ask for huge arrays or endless lists of names.
LIMITS = {"vocab_size": 2**24, "n_positions": 2**24, "n_embd": 2**20, "n_layer": 2**12, "n_head": 2**20}


@dataclass(frozen=True)
class TransformerConfig:
    """What all models have. Raises InputError, naming the field and the rule."""
    vocab_size: int = 50257                     # V
    n_positions: int = 1024                     # the longest T
    n_embd: int = 768                           # C
    n_layer: int = 12                           # L
    n_head: int = 12                            # H
    n_inner: int | None = None                  # I, hidden width of the feed-forward; None means 4 C
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1                    # dropout on what is added to the residual stream,
    attn_pdrop: float = 0.1                     # and on the attention weights
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None      # several: each of them ends a text
    pad_token_id: int | None = None             # fills up the shorter sequences of a batch

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            require(self, name, lambda value: is_integer(value) and 1 <= value <= most, f"a whole number from 1 to {most:,}")
        self.require_count_or_none("n_inner", 2**22)
        require(self, "n_head", lambda value: self.n_embd % value == 0, f"a divisor of n_embd ({self.n_embd})")
        require(self, "activation_function", lambda value: value in tuple(ACTIVATIONS), one_of(ACTIVATIONS))
        for name in self.dropout_fields():
            require(self, name, lambda value: is_number(value) and 0 <= value < 1, "a number in [0, 1)")
        require(self, "layer_norm_epsilon", lambda value: is_number(value) and value > 0, "a number above 0")
        require(self, "initializer_range", lambda value: is_number(value) and value >= 0, "a number of 0 or more")
        below = f"below vocab_size ({self.vocab_size})"
        for name in ("bos_token_id", "pad_token_id"):
            require(self, name, lambda token: token is None or self.is_token(token), f"a token id {below}, or None")
        require(self, "eos_token_id", lambda end: end != () and all(map(self.is_token, self.end_tokens)),
                f"a token id {below}, or a tuple of them, or None")

    @property
    def inner(self) -> int:
        """I, the hidden width of the feed-forward network."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """The tokens of which each ends a text."""
        end = self.eos_token_id
        return () if end is None else end if isinstance(end, tuple) else (end,)

    def is_token(self, value: object) -> bool:
        return is_integer(value) and 0 <= value < self.vocab_size

    def require_count_or_none(self, name: str, most: int) -> None:
        require(self, name, lambda value: value is None or is_integer(value) and 1 <= value <= most,
                f"a whole number from 1 to {most:,}, or None")

    @classmethod
    def dropout_fields(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls) if field.name.endswith("_pdrop")]

    def with_dropout(self: Config, probability: float) -> Config:
        """The same configuration with this probability in all places."""
        return dataclasses.replace(self, **dict.fromkeys(self.dropout_fields(), probability))

    def without_dropout(self: Config) -> Config:
        return self.with_dropout(0.0)


@dataclass(frozen=True)
class GPTConfig(TransformerConfig):
    """The defaults are GPT-2's (Radford et al. 2019). Raises InputError, naming the field and the rule."""
    embd_pdrop: float = 0.1                     # dropout on the embeddings
    tie_word_embeddings: bool = True
    position_embedding_type: str = "learned"    # "sinusoidal" has no parameters
    pre_layer_norm: bool = True                 # layer norm before each branch (GPT-2, GPT-3) or after each addition (GPT-1)
    window_size: int | None = None              # W: every second layer attends to the last W positions (GPT-3); None: to all
    qkv_bias: bool = True                       # whether queries, keys and values have biases (GPT-3's do not)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tie_word_embeddings", "pre_layer_norm", "qkv_bias"):
            require(self, name, lambda value: isinstance(value, bool), "true or false")
        self.require_count_or_none("window_size", 2**24)
        require(self, "position_embedding_type", lambda value: value in POSITION_EMBEDDINGS, one_of(POSITION_EMBEDDINGS))


def require(settings: object, name: str, holds: Callable[[Any], bool], rule: str) -> None:
    """Raise InputError, naming the field and the rule, unless the rule holds for its value."""
    value = getattr(settings, name)
    if not holds(value):
        raise InputError(f"{name} must be {rule}, not {value!r}")


def is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def one_of(names: Iterable[str]) -> str:
    return "one of " + ", ".join(names)
