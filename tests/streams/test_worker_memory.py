"""What a worker frees goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

_SIZE = 4 * 1024 * 1024
_PROBE = f"""
import ctypes, sys
from streams.worker import give_large_blocks_back

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
if sys.argv[1] == "given back":
    give_large_blocks_back()
before = libc.mallinfo2().hblkhd
libc.free(libc.malloc({_SIZE}))  # glibc learns from this one
block = libc.malloc({_SIZE})
print(libc.mallinfo2().hblkhd - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc, or before 2.33")
@pytest.mark.parametrize(("how", "mapped"), [("given back", True), ("as it is", False)])
def test_a_large_block_is_the_systems_however_many_were_freed_before(how: str, mapped: bool) -> None:
    found = subprocess.run([sys.executable, "-c", _PROBE, how], capture_output=True, text=True, check=True)
    assert (int(found.stdout) >= _SIZE) is mapped
