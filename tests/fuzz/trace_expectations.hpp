// What a trace that was read must be.
#pragma once

#include <string_view>

#include "impl/store/trace.hpp"
#include "tests/fuzz/expectations.hpp"

namespace page_map_lab::fuzz {

/// Invariant 1 of impl/store/trace.hpp, and sums that agree with the operations.
inline void expect_sound(const Trace& trace) {
    expect(trace.operations().size() <= Trace::max_operations && trace.files().size() <= Trace::max_files, "too much");
    std::uint64_t accesses = 0;
    for (const TraceOperation& operation : trace.operations()) {
        expect(operation.file < trace.files().size(), "an operation on no file");
        expect(operation.length_bytes <= Trace::max_length_bytes, "an operation that is too long");
        expect(operation.end_bytes() <= Trace::max_offset_bytes, "an operation that ends too far out");
        expect((operation.kind == TraceOperation::Kind::sync) == (operation.length_bytes == 0), "a length where none belongs");
        expect(operation.pages().end() <= trace.files()[operation.file].size_pages, "an operation past its file's end");
        accesses += operation.pages().count;
        if (operation.pages().count <= 64) {
            std::uint64_t bytes = 0;
            for_each_page(operation, [&](const TracePageAccess& access) {
                expect(access.byte_count > 0 && access.first_byte + access.byte_count <= page_size, "more than a page");
                expect(trace.page_in_object(access) < trace.total_pages(), "a page outside the object");
                bytes += access.byte_count;
            });
            expect(bytes == operation.length_bytes, "the pages of an operation are not the operation");
        }
    }
    expect(accesses == trace.page_accesses() && accesses > 0, "the sum of accesses");
    std::uint64_t total = 0;
    std::uint64_t touched = 0;
    for (const TraceFile& file : trace.files()) {
        expect(file.first_page == total, "files do not stand one after the other");
        expect(file.pages_touched <= file.size_pages, "more pages touched than there are");
        total += file.size_pages;
        touched += file.pages_touched;
    }
    expect(total == trace.total_pages() && touched == trace.pages_touched() && touched <= accesses, "the sums of pages");
}

inline void expect_error_or_sound_trace(std::string_view bytes) {
    const Result<Trace> trace = Trace::parse(bytes, "fuzzed");
    if (trace) {
        expect_sound(*trace);
    } else {
        expect_message(trace.error());
    }
}

}  // namespace page_map_lab::fuzz
