"""Free answers: what a model says after a prompt, of which the end is kept."""
import pytest

from helpers import language_model
from npgpt.errors import InputError
from npgpt.generation.beam_search import beam_search
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.scoring.free_answers import free_answer
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.vocabulary import with_special_tokens

TOKENIZER = with_special_tokens(CharacterTokenizer("abcdef"), ["<end>"])
ENDS = TOKENIZER.special_tokens["<end>"], *TOKENIZER.encode("ef").tolist()          # so that texts differ in length
CONFIG = GPTConfig(vocab_size=7, n_positions=12, n_embd=8, n_layer=1, n_head=2, eos_token_id=ENDS, initializer_range=1.0)


def draw_model(seed):
    return Model(language_model(CONFIG, seed), CONFIG, TOKENIZER, ())


@pytest.mark.parametrize("beams", [1, 3])
def test_of_a_prompt_that_is_too_long_the_end_is_kept(beams):
    prompt, different = "abcdefabacadae", 0
    for seed in range(5):
        answer, dropped = free_answer(draw_model(seed), prompt, 4, beams=beams)
        assert (answer, 0) == free_answer(draw_model(seed), prompt[-8:], 4, beams=beams) and dropped == len(prompt) - 8
        different += answer != free_answer(draw_model(seed), prompt[:8], 4, beams=beams)[0]
    assert different


def test_several_beams_give_the_best_text_with_the_length_penalty_of_gpt3():
    """Brown et al. 2020, section 2.4: 4 beams, 0.6."""
    different = 0
    for seed in range(20):
        parameters = draw_model(seed).parameters
        best = [beam_search(parameters, CONFIG, [0, 1], 4, 6, ENDS, penalty)[0].tokens for penalty in (0.6, 1.0)]
        texts = [TOKENIZER.decode([token for token in tokens if token not in ENDS]) for tokens in best]
        assert free_answer(draw_model(seed), "ab", 6, beams=4) == (texts[0], 0)
        different += texts[0] != texts[1]
    assert different


def test_an_answer_has_at_most_so_many_tokens_and_ends_before_the_stop_text_and_the_end_token():
    for seed in range(5):
        whole, _ = free_answer(draw_model(seed), "ab", 6)
        assert len(whole) <= 6 and not {*whole} & {*"ef"}
        if whole:
            assert free_answer(draw_model(seed), "ab", 6, stop=whole[-1])[0] == whole[:whole.index(whole[-1])]
            assert free_answer(draw_model(seed), "ab", 1)[0] == whole[:1]
    with pytest.raises(InputError, match="no room"):
        free_answer(draw_model(0), "ab", CONFIG.n_positions)
