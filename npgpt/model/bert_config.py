"""Configuration of a BERT."""
from dataclasses import dataclass

from npgpt.model.config import TransformerConfig, is_integer, require

MOST_SEGMENTS = 2**16


@dataclass(frozen=True)
class BertConfig(TransformerConfig):
    """The defaults are those of the base model (Devlin et al. 2019) with Google's vocabulary of words in lower case.
    resid_pdrop is that of the embeddings too. Raises InputError, naming the field and the rule.
    """
    vocab_size: int = 30522
    n_positions: int = 512
    activation_function: str = "gelu"
    layer_norm_epsilon: float = 1e-12
    pad_token_id: int | None = 0
    type_vocab_size: int = 2                    # segments: which of several texts a token belongs to
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "type_vocab_size", lambda value: is_integer(value) and 1 <= value <= MOST_SEGMENTS,
                f"a whole number from 1 to {MOST_SEGMENTS:,}")
        require(self, "tie_word_embeddings", lambda value: isinstance(value, bool), "true or false")
