"""Memory: ask glibc to keep what is freed, rather than return it to the system after every step."""
import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8       # glibc's malloc.h
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Large arrays come and go in every step. By default glibc maps each anew, and the kernel hands over its
    pages one fault at a time: a third of a step. With these settings freed memory stays in the process.

    One arena serves all threads, because the others cannot hold arrays of more than 64 MB.
    Returns whether the settings were taken; where there is no glibc, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    settings = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST_INT, M_TOP_PAD: 64 * 2**20}
    return all([mallopt(option, value) for option, value in settings.items()])
