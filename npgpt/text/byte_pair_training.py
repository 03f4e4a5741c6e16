"""Training of a byte-level BPE vocabulary: repeatedly, the most frequent pair of adjacent tokens becomes a new token."""
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush

from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.pre_tokens import pre_tokens
from npgpt.text.raw_bytes import byte_characters

BYTES = 256
END_OF_TEXT = "<|endoftext|>"
WORD_END, MERGED_AWAY = -1, -2                                 # markers among the ids

Pair = tuple[int, int]
Priority = tuple[int, int, Pair]                               # the smallest is merged first


def count_words(text: str) -> Counter[str]:
    """How often each pre-token occurs, in the order of first appearance: the input of learn_merges."""
    return Counter(pre_tokens(text))


def learn_merges(words: Mapping[str, int]) -> Iterator[Pair]:
    """words and how often each occurs  ->  pairs of ids, in the order in which they become tokens

    Ids below 256 are the bytes, and the n-th pair becomes 256 + n, n = 0, 1, ...
    """
    return learn_pairs(((word.encode("utf-8", "surrogatepass"), times) for word, times in words.items()), BYTES)


def learn_pairs(words: Iterable[tuple[Iterable[int], int]], new: int) -> Iterator[Pair]:
    """The ids of each word and how often it occurs  ->  pairs of ids, in the order in which they become tokens

    The n-th pair becomes the id new + n, n = 0, 1, ... It is always the most frequent pair of adjacent tokens within
    words (Sennrich et al. 2016, algorithm 1). Of equally frequent pairs it is the first one, as in minbpe. Training ends
    when no pair occurs more than once.

    A merge changes the counts of few pairs, and the positions of every pair are known, so that the time for all merges
    together, instead of for each one, is proportional to the length of the words.
    """
    ids, weights = concatenate(words)
    before, after = array("q", range(-1, len(ids) - 1)), array("q", range(1, len(ids) + 1))     # a linked list of the tokens
    counts: Counter[Pair] = Counter()
    positions: dict[Pair, array] = defaultdict(lambda: array("q")) # where each pair begins, ascending; some are outdated
    outdated: Counter[Pair] = Counter()                            # how many of a pair's first positions are outdated
    new_pairs: set[Pair] = set()                                   # pairs that the last merge created

    def count(i: int, sign: int) -> None:
        """Add the pair that begins at position i to the counts, or subtract it."""
        pair = ids[i], ids[after[i]]
        if WORD_END not in pair:
            counts[pair] += sign * weights[i]
            if sign > 0:
                positions[pair].append(i)
                new_pairs.add(pair)

    def priority(pair: Pair) -> Priority:
        """Order pairs by falling frequency, and equally frequent ones by their first position."""
        starts, n = positions[pair], outdated[pair]
        while (ids[starts[n]], ids[after[starts[n]]]) != pair:
            n += 1
        outdated[pair] = n
        return -counts[pair], starts[n], pair

    for i in range(len(ids) - 1):
        count(i, 1)
    heap: list[Priority] = []
    while True:
        for pair in new_pairs:
            if counts[pair] > 1:
                heappush(heap, priority(pair))
        new_pairs.clear()
        best = pop_most_frequent(heap, counts, priority)
        if best is None:
            return
        yield best
        for i in positions.pop(best):
            j = after[i]
            if (ids[i], ids[j]) != best:
                continue
            h, k = before[i], after[j]
            count(h, -1), count(j, -1)
            ids[i], ids[j] = new, MERGED_AWAY
            after[i], before[k] = k, i
            count(h, 1), count(i, 1)
        del counts[best]                                           # it was merged everywhere
        new += 1


def concatenate(words: Iterable[tuple[Iterable[int], int]]) -> tuple[array, array]:
    """The ids of all words, with WORD_END around each word; and for every id, how often its word occurs."""
    ids, weights = array("q", [WORD_END]), array("q", [0])
    for word, occurrences in words:
        ids.extend(word)
        ids.append(WORD_END)
        weights.extend([occurrences] * (len(ids) - len(weights)))
    return ids, weights


def pop_most_frequent(heap: list[Priority], counts: Mapping[Pair, int], priority: Callable[[Pair], Priority]) -> Pair | None:
    """Remove the pair with the highest priority that occurs more than once from the heap, and return it. A pair whose
    priority has changed, which can only make it lower, is put back with its present priority.
    """
    while heap:
        entry = heappop(heap)
        pair = entry[-1]
        if counts[pair] > 1:
            present = priority(pair)
            if present == entry:
                return pair
            heappush(heap, present)
    return None


def tokenizer_of_merges(merges: Iterable[Pair]) -> BytePairTokenizer:
    """The tokenizer with these merges. Its vocabulary is the 256 bytes, the merged tokens in order, and <|endoftext|>."""
    tokens = byte_characters()
    pairs = []
    for left, right in merges:
        pairs.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    tokens.append(END_OF_TEXT)
    return BytePairTokenizer({token: i for i, token in enumerate(tokens)}, pairs, [END_OF_TEXT])
