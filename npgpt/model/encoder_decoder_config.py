"""Configuration of an encoder-decoder: its sizes and settings, under the same names as those of GPTs."""
import dataclasses
from dataclasses import dataclass

from npgpt.layers.feed_forward import ACTIVATIONS
from npgpt.model.config import LIMITS, is_integer, is_number, one_of, require


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """The defaults are those of the base model (Vaswani et al. 2017, table 3). Raises InputError, naming the field and the
    rule.
    """
    vocab_size: int = 37000                     # V, of source and target together
    n_positions: int = 512                      # the longest S and T
    n_embd: int = 512                           # C
    n_layer: int = 6                            # of the encoder
    n_decoder_layer: int | None = None          # None: as many as the encoder has
    n_head: int = 8                             # H
    n_inner: int | None = None                  # I, hidden width of the feed-forward; None means 4 C
    activation_function: str = "relu"
    resid_pdrop: float = 0.1                    # dropout on the embeddings, and on what is added to the residual stream;
    attn_pdrop: float = 0.0                     # and on the attention weights
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: int | None = None             # ends every source and every target
    pad_token_id: int | None = None             # fills up the shorter sequences of a batch; targets begin after one

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            require(self, name, lambda value: is_integer(value) and 1 <= value <= most, f"a whole number from 1 to {most:,}")
        for name, most in (("n_decoder_layer", LIMITS["n_layer"]), ("n_inner", 2**22)):
            require(self, name, lambda value: value is None or is_integer(value) and 1 <= value <= most,
                    f"a whole number from 1 to {most:,}, or None")
        require(self, "n_head", lambda value: self.n_embd % value == 0, f"a divisor of n_embd ({self.n_embd})")
        require(self, "activation_function", lambda value: value in tuple(ACTIVATIONS), one_of(ACTIVATIONS))
        for name in ("resid_pdrop", "attn_pdrop"):
            require(self, name, lambda value: is_number(value) and 0 <= value < 1, "a number in [0, 1)")
        require(self, "layer_norm_epsilon", lambda value: is_number(value) and value > 0, "a number above 0")
        require(self, "initializer_range", lambda value: is_number(value) and value >= 0, "a number of 0 or more")
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            require(self, name, lambda token: token is None or is_integer(token) and 0 <= token < self.vocab_size,
                    f"a token id below vocab_size ({self.vocab_size}), or None")

    @property
    def inner(self) -> int:
        """I, the hidden width of the feed-forward network."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @property
    def decoder_layers(self) -> int:
        return self.n_layer if self.n_decoder_layer is None else self.n_decoder_layer

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """The tokens of which each ends a text."""
        return () if self.eos_token_id is None else (self.eos_token_id,)

    def without_dropout(self) -> "EncoderDecoderConfig":
        return dataclasses.replace(self, resid_pdrop=0.0, attn_pdrop=0.0)
