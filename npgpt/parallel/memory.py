"""Memory: tell glibc to keep freed memory in the process, rather than return it to the system at once."""
import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -3, -4, -8     # glibc's malloc.h
LARGEST_INT = 2**31 - 1
MEBIBYTE = 2**20

everything_is_kept = False       # malloc cannot be asked for its settings


def keep_freed_memory() -> bool:
    """Large arrays are allocated and freed in every step. By default glibc maps new memory for each, and its page faults
    take a third of a step. With these settings freed memory is reused.

    All threads use one arena, because the others cannot hold arrays of more than 64 MB. Returns whether the settings were
    accepted; without glibc nothing happens.
    """
    global everything_is_kept
    everything_is_kept = set_malloc({M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST_INT,
                                     M_TOP_PAD: 64 * MEBIBYTE})
    return everything_is_kept


def keep_freed_scratch() -> None:
    """The same, for a function that other programs call: at most 128 MB are kept in each arena, and arrays above 32 MB
    are returned to the system as before. After keep_freed_memory, nothing changes.
    """
    if not everything_is_kept:
        set_malloc({M_MMAP_THRESHOLD: 32 * MEBIBYTE, M_TRIM_THRESHOLD: 128 * MEBIBYTE})


def set_malloc(settings: dict[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all([mallopt(option, value) for option, value in settings.items()])
