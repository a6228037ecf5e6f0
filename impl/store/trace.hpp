// The file reads and writes of a real program, as `lab record` wrote them or as fio's iolog holds them.
//
// Thread safety: immutable once loaded. The format is described in docs/trace-format.md.
// Invariants:
// 1. Every operation's file is in the table; its bytes end at most at max_offset_bytes; a read or a write has at least
//    one byte and at most max_length_bytes; a sync has offset and length 0.
// 2. Loading takes time and memory in proportion to the file's size, whatever the file says of itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"

namespace page_map_lab {

struct TraceOperation {
    enum class Kind : std::uint8_t { read, write, sync };

    Kind kind = Kind::read;
    std::uint32_t file = 0;  // position in Trace::files()
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;

    std::uint64_t end_bytes() const noexcept { return offset_bytes + length_bytes; }

    /// The pages of its file that it touches; empty for a sync.
    PageRange pages() const noexcept {
        if (length_bytes == 0) {
            return {};
        }
        const PageIndex first = offset_bytes >> page_shift;
        return {first, ((end_bytes() - 1) >> page_shift) - first + 1};
    }

    friend bool operator==(const TraceOperation&, const TraceOperation&) = default;
};

/// One operation's part in one page.
struct TracePageAccess {
    TraceOperation::Kind kind;
    std::uint32_t file;
    PageIndex page;           // in its file
    std::uint32_t first_byte;  // in the page
    std::uint32_t byte_count;

    bool whole_page() const noexcept { return byte_count == page_size; }
};

struct TraceFile {
    std::string name;
    std::uint64_t size_pages = 0;   // up to the last byte any operation touches; what a store for it must have
    std::uint64_t first_page = 0;   // where it starts when all files stand one after the other in one object
    std::uint64_t pages_touched = 0;  // distinct pages; a replay that must evict has fewer frames than this
};

class Trace {
public:
    static constexpr std::uint64_t max_trace_bytes = std::uint64_t{64} << 20;  // of the trace itself
    static constexpr std::uint64_t max_operations = std::uint64_t{16} << 20;
    static constexpr std::uint64_t max_files = 65536;
    static constexpr std::uint64_t max_name_bytes = 4096;
    static constexpr std::uint64_t max_length_bytes = std::uint64_t{1} << 31;
    static constexpr std::uint64_t max_offset_bytes = std::uint64_t{1} << 56;

    /// Reads a trace of this project, or fio's iolog of version 2 or 3; which it is shows in its first bytes.
    /// Errors, each one line that names the trace and, where it is malformed, the byte (and line): usage (not there,
    /// not a regular file, too large), denied, io, system (too many open files), malformed.
    static Result<Trace> load(const std::string& path);

    /// As load, from bytes in memory; `name` is what errors call the trace.
    static Result<Trace> parse(std::string_view bytes, const std::string& name);

    /// A trace of these operations, brought into order as load does. Errors: malformed (see invariant 1).
    static Result<Trace> make(std::vector<std::string> file_names, std::vector<TraceOperation> operations,
                              const std::string& name = "trace");

    std::span<const TraceFile> files() const noexcept { return files_; }
    /// In the order in which they completed.
    std::span<const TraceOperation> operations() const noexcept { return operations_; }

    /// The pages of all files together, when they stand one after the other in one object.
    std::uint64_t total_pages() const noexcept { return total_pages_; }
    /// Distinct pages that any operation touches.
    std::uint64_t pages_touched() const noexcept { return pages_touched_; }
    /// How many times for_each_page calls its visitor, over all operations.
    std::uint64_t page_accesses() const noexcept { return page_accesses_; }
    /// Operations the input had that a replay cannot use (fio's trim and wait).
    std::uint64_t skipped_operations() const noexcept { return skipped_operations_; }

    /// The page's index when all files stand one after the other in one object.
    PageIndex page_in_object(const TracePageAccess& access) const noexcept {
        return files_[access.file].first_page + access.page;
    }

private:
    Trace() = default;

    std::vector<TraceFile> files_;
    std::vector<TraceOperation> operations_;
    std::uint64_t total_pages_ = 0;
    std::uint64_t pages_touched_ = 0;
    std::uint64_t page_accesses_ = 0;
    std::uint64_t skipped_operations_ = 0;
};

/// Calls `visit(TracePageAccess)` for each page the operation touches, in ascending order; never for a sync.
template <class Visit>
void for_each_page(const TraceOperation& operation, Visit&& visit) {
    const PageRange pages = operation.pages();
    for (PageIndex page = pages.first; page < pages.end(); ++page) {
        const std::uint64_t start = page << page_shift;
        const std::uint64_t from = std::max(start, operation.offset_bytes);
        const std::uint64_t to = std::min(start + page_size, operation.end_bytes());
        visit(TracePageAccess{operation.kind, operation.file, page, static_cast<std::uint32_t>(from - start),
                              static_cast<std::uint32_t>(to - from)});
    }
}

}  // namespace page_map_lab
