"""Training of a byte-level BPE vocabulary: the most frequent pair of neighbours becomes a token, again and again."""
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush

from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.pre_tokens import pre_tokens
from npgpt.text.raw_bytes import byte_characters

BYTES = 256
END_OF_TEXT = "<|endoftext|>"
WORD_END, MERGED_AWAY = -1, -2                                 # what stands in the row beside ids

Pair = tuple[int, int]


def count_words(text: str) -> Counter[str]:
    """How often each pre-token occurs: all that training looks at."""
    return Counter(pre_tokens(text))


def learn_merges(words: Mapping[str, int]) -> Iterator[Pair]:
    """words and how often each occurs  ->  pairs of ids, in the order in which they become tokens

    Ids below 256 are the bytes, and the n-th pair becomes 256 + n, n = 0, 1, ... It is always the most frequent pair
    of neighbours within words, and of equally frequent ones that which stands first in the text, if words are in the
    order of their first appearance. It ends where no pair occurs twice. (Sennrich et al. 2016, algorithm 1; for equal
    frequencies they leave it to the dictionary, and so does minbpe, which makes it the text's order.)

    Counts change only where a pair is merged, and each pair's places are known, so that all merges together take
    time in proportion to the words, not each of them.
    """
    ids, weights = lay_out(words)
    before, after = array("q", range(-1, len(ids) - 1)), array("q", range(1, len(ids) + 1))     # neighbours that are left
    counts: Counter[Pair] = Counter()
    places: dict[Pair, array] = defaultdict(lambda: array("q"))    # where a pair begins, ascending; merges outdate some
    passed: Counter[Pair] = Counter()                              # how many of these are known to be outdated
    fresh: set[Pair] = set()                                       # pairs that came into being since the last merge

    def count(i: int, sign: int) -> None:
        """Count the pair that begins at place i, or take it back."""
        pair = ids[i], ids[after[i]]
        if WORD_END not in pair:
            counts[pair] += sign * weights[i]
            if sign > 0:
                places[pair].append(i)
                fresh.add(pair)

    def standing(pair: Pair) -> tuple[int, int, Pair]:
        """A pair with what decides when its turn is, smallest first: its frequency, negative, and its first place."""
        row, n = places[pair], passed[pair]
        while (ids[row[n]], ids[after[row[n]]]) != pair:
            n += 1
        passed[pair] = n
        return -counts[pair], row[n], pair

    for i in range(len(ids) - 1):
        count(i, 1)
    new = BYTES
    queue: list[tuple[int, int, Pair]] = []
    while True:
        for pair in fresh:
            if counts[pair] > 1:
                heappush(queue, standing(pair))
        fresh.clear()
        best = pop_most_frequent(queue, counts, standing)
        if best is None:
            return
        yield best
        for i in places.pop(best):
            j = after[i]
            if (ids[i], ids[j]) != best:
                continue
            h, k = before[i], after[j]
            count(h, -1), count(j, -1)
            ids[i], ids[j] = new, MERGED_AWAY
            after[i], before[k] = k, i
            count(h, 1), count(i, 1)
        del counts[best]                                           # all of its places are merged
        new += 1


def lay_out(words: Mapping[str, int]) -> tuple[array, array]:
    """All words in one row  ->  the ids of their bytes, with WORD_END around each word; how often each place counts"""
    ids, weights = array("q", [WORD_END]), array("q", [0])
    for word, times in words.items():
        data = word.encode("utf-8", "surrogatepass")
        ids.extend(data)
        ids.append(WORD_END)
        weights.extend([times] * (len(data) + 1))
    return ids, weights


def pop_most_frequent(queue: list[tuple[int, int, Pair]], counts: Mapping[Pair, int],
                      standing: Callable[[Pair], tuple[int, int, Pair]]) -> Pair | None:
    """The pair whose turn it is. What a pair had when it came into the queue can only have become worse since: one
    that is not as it was goes back.
    """
    while queue:
        entry = heappop(queue)
        pair = entry[-1]
        if counts[pair] > 1:
            now = standing(pair)
            if now == entry:
                return pair
            heappush(queue, now)
    return None


def tokenizer_of_merges(merges: Iterable[Pair]) -> BytePairTokenizer:
    """The tokenizer of what was learned: 256 bytes, the merges in their order, and <|endoftext|> last."""
    tokens = byte_characters()
    pairs = []
    for left, right in merges:
        pairs.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    tokens.append(END_OF_TEXT)
    return BytePairTokenizer({token: i for i, token in enumerate(tokens)}, pairs, [END_OF_TEXT])
