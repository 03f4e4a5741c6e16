"""Configuration of an encoder-decoder."""
from dataclasses import dataclass

from npgpt.model.config import LIMITS, TransformerConfig


@dataclass(frozen=True)
class EncoderDecoderConfig(TransformerConfig):
    """The defaults are those of the base model (Vaswani et al. 2017, table 3). V is that of source and target together,
    n_positions the longest S and T, n_layer that of the encoder. Targets begin after a pad_token_id. Raises InputError,
    naming the field and the rule.
    """
    vocab_size: int = 37000
    n_positions: int = 512
    n_embd: int = 512
    n_layer: int = 6
    n_head: int = 8
    activation_function: str = "relu"
    attn_pdrop: float = 0.0
    n_decoder_layer: int | None = None          # None: as many as the encoder has

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_count_or_none("n_decoder_layer", LIMITS["n_layer"])

    @property
    def decoder_layers(self) -> int:
        return self.n_layer if self.n_decoder_layer is None else self.n_decoder_layer
