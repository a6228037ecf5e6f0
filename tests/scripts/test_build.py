"""What is said of a build that does not succeed."""

import pytest

from page_map_lab import build


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("compiler", "impl/core/error.cpp:53:47: error: 'page_size' was not declared in this scope"),
        ("linker", "collect2: error: ld returned 1 exit status"),
        ("cmake", "CMake Error at CMakeLists.txt:12 (find_package):"),
        ("ninja", "ninja: error: loading 'build.ninja': No such file or directory"),
    ],
)
def test_the_first_error_is_what_failed_and_not_a_source_of_that_name(what, line):
    log = f"[1/107] Building CXX object core/error.cpp.o\n  {line}\nninja: build stopped: subcommand failed.\n"
    assert build.first_error(log) == line, what


def test_a_log_that_names_no_error_is_told_by_its_end():
    assert build.first_error("[1/2] Building\nKilled\n\n") == "Killed"
    assert build.first_error("") == ""
